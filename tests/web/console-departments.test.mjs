// The line of the agent's departments in the bar: own-departments.js, and the words of department-bar.js.
import assert from "node:assert/strict";
import test from "node:test";
import { opening, stateWords, todayWords, waitingWords } from "../../services/gateway/web/console/department-bar.js";
import { openedOrClosed, ownDepartments, summary, takeDepartments } from "../../services/gateway/web/console/own-departments.js";
import { LANGUAGES } from "../../services/gateway/web/console/i18n.js";
import { consoleTexts } from "./texts.mjs";

const AT = "2026-11-27T15:30:00.000Z"; // a Friday
const NOW = Date.parse(AT);
const GREEN = { colour: "green", reason: "available", opens_at: null };
const blue = (reason, opens_at = null) => ({
  colour: "blue",
  reason,
  opens_at,
});
const whole = (department, more = {}) => ({
  department,
  button: GREEN,
  intake: null,
  hours: ["09:00-12:00", "13:00-17:00"],
  waiting: { count: 0, since: null },
  ...more,
});
const frame = (...departments) => ({
  type: "departments",
  at: AT,
  departments,
});
const after = (...frames) => frames.reduce((known, one) => takeDepartments(known, one, NOW), new Map());
const one = (more) => after(frame(whole("algemeen", more))).get("algemeen");
const nl = consoleTexts("nl");

test("a frame changes what it names, and leaves the rest", () => {
  const known = after(frame(whole("algemeen"), whole("premies")), frame({ department: "algemeen", waiting: { count: 2, since: AT } }));
  assert.deepEqual([...known.keys()], ["algemeen", "premies"]);
  const { button, waiting, hours, intake } = known.get("algemeen");
  assert.deepEqual([button, waiting, hours.length, intake], [GREEN, { count: 2, since: AT }, 2, null]);
  const unknown = after(frame({ department: "algemeen", button: GREEN, waiting: null })).get("algemeen");
  assert.deepEqual([unknown.hours, unknown.waiting], [undefined, null]);
  const open = after(frame(whole("algemeen")), frame({ department: "algemeen", hours: null })).get("algemeen");
  assert.equal(open.hours, null);
});

test("the colour is in words, with the reason", () => {
  assert.equal(stateWords(nl, one(), NOW), "Groen");
  assert.equal(stateWords(nl, one({ button: blue("busy") }), NOW), "Blauw: alle medewerkers zijn in gesprek");
  assert.equal(stateWords(nl, one({ button: blue("no_agents") }), NOW), "Blauw: er is geen medewerker beschikbaar");
  assert.equal(stateWords(nl, one({ button: blue("closed") }), NOW), "Blauw: gesloten");
  const monday = blue("closed", "2026-11-30T08:00:00.000Z");
  assert.equal(stateWords(nl, one({ button: monday }), NOW), "Blauw: gesloten, open maandag 9 u.");
  assert.equal(stateWords(nl, one({ button: blue("unknown") }), NOW), "Blauw: de stand is niet bekend");
  assert.equal(stateWords(nl, one({ button: blue("of a later release") }), NOW), "Blauw: de stand is niet bekend");
  const until = "2026-11-27T16:00:00.000Z";
  const closed = {
    button: blue("closed", until),
    intake: { until, name: "Sofie" },
  };
  assert.equal(stateWords(nl, one(closed), NOW), "Blauw: instroom gesloten door Sofie tot 17:00");
  assert.equal(stateWords(nl, one({ ...closed, intake: { until, name: null } }), NOW), "Blauw: instroom gesloten tot 17:00");
});

test("the next opening is in the words of the day, in the service's time zone", () => {
  assert.equal(opening(nl, "2026-11-27T17:30:00.000Z", NOW), "om 18.30 u.");
  assert.equal(opening(nl, "2026-11-28T08:00:00.000Z", NOW), "morgen 9 u.");
  assert.equal(opening(nl, "2026-12-03T08:00:00.000Z", NOW), "donderdag 9 u.");
  assert.equal(opening(nl, "2026-12-04T08:00:00.000Z", NOW), "4 dec 9 u.");
  assert.equal(opening(nl, "2026-11-27T23:30:00.000Z", Date.parse("2026-11-27T22:00:00.000Z")), "morgen 0.30 u.");
  assert.deepEqual([opening(nl, null, NOW), opening(nl, "soon", NOW)], ["", ""]);
  assert.equal(opening(consoleTexts("fr"), "2026-11-30T08:00:00.000Z", NOW), "lundi à 9 h");
  assert.equal(opening(consoleTexts("de"), "2026-11-30T08:30:00.000Z", NOW), "Montag 9.30 Uhr");
  assert.equal(opening(consoleTexts("en"), "2026-11-30T08:00:00.000Z", NOW), "Monday 9:00");
});

test("today's opening hours and the waiting chats read in words", () => {
  assert.equal(todayWords(nl, one()), "Vandaag 09:00 – 12:00, 13:00 – 17:00");
  assert.equal(todayWords(nl, one({ hours: [] })), "Vandaag gesloten");
  assert.equal(todayWords(nl, one({ hours: null })), "Altijd open");
  assert.equal(todayWords(nl, after(frame({ department: "algemeen", button: GREEN })).get("algemeen")), "");
  assert.equal(waitingWords(nl, null, null), "");
  assert.equal(waitingWords(nl, 0, null), "Niemand wacht");
  assert.equal(waitingWords(nl, 1, null), "1 wacht");
  assert.equal(waitingWords(nl, 1, 59), "1 wacht, al minder dan 1 min.");
  assert.match(waitingWords(nl, 3, 299), /^3 wachten, het langst 4\smin\.?$/);
  for (const language of LANGUAGES) {
    const t = consoleTexts(language);
    for (const words of [waitingWords(t, 3, 299), todayWords(t, one()), stateWords(t, one({ button: blue("busy") }), NOW)])
      assert.doesNotMatch(words, /bar\.|[{}]/);
  }
});

test("many departments are one line, with the longest wait", () => {
  const known = after(
    frame(
      whole("a", { waiting: { count: 2, since: "2026-11-27T15:28:00.000Z" } }),
      whole("b", {
        button: blue("busy"),
        waiting: { count: 5, since: "2026-11-27T15:20:00.000Z" },
      }),
      whole("c", { button: blue("unknown"), waiting: null }),
      whole("d", { waiting: { count: 1, since: null } }),
    ),
  );
  const { green, blue: blues, waiting, longest } = summary([...known.values()], NOW);
  assert.deepEqual([green, blues, waiting, longest.one.department, longest.seconds], [2, 2, 8, "b", 600]);
  const none = summary([known.get("c")], NOW);
  assert.deepEqual([none.waiting, none.longest], [null, null]);
});

test("a screen reader hears of a department that opens or closes, and not of each colour", (t) => {
  t.mock.timers.enable({ apis: ["setInterval"] });
  const news = [];
  let drawn = 0;
  const own = ownDepartments({
    onChange: () => drawn++,
    onNews: (list) => news.push(list.map((it) => it.department)),
    now: () => NOW,
  });
  t.after(own.stop);
  own.take(frame(whole("algemeen"), whole("premies", { button: blue("closed") })));
  assert.deepEqual([news, drawn, own.current()], [[], 1, true]);
  own.take(frame({ department: "algemeen", button: blue("busy") }));
  own.take(
    frame({
      department: "algemeen",
      button: GREEN,
      waiting: { count: 3, since: AT },
    }),
  );
  assert.deepEqual([news, drawn], [[], 3]);
  own.take(frame({ department: "algemeen", button: blue("closed") }, { department: "premies", button: GREEN }));
  own.take(frame({ department: "algemeen", intake: { until: AT, name: "Sofie" } }));
  own.take(frame({ department: "algemeen", intake: { until: AT, name: "Sofie" } }));
  own.take(frame({ department: "algemeen", intake: null, button: GREEN }));
  assert.deepEqual(news, [["algemeen", "premies"], ["algemeen"], ["algemeen"]]);
  const before = drawn;
  t.mock.timers.tick(5000);
  assert.equal(drawn, before + 1, "somebody waits: the minutes go on");
  own.take(frame({ department: "algemeen", waiting: { count: 0, since: null } }));
  t.mock.timers.tick(10_000);
  assert.equal(drawn, before + 2, "nobody waits");
  own.lose();
  assert.equal(own.current(), false);
});

test("a wait counts by the server's clock", () => {
  const known = takeDepartments(new Map(), frame(whole("a", { waiting: { count: 1, since: "2026-11-27T15:20:00.000Z" } })), NOW - 60_000);
  assert.equal(summary([...known.values()], NOW - 60_000).longest.seconds, 600);
});

test("opened or closed is told of departments that were known before", () => {
  assert.deepEqual(openedOrClosed(new Map(), after(frame(whole("a", { button: blue("closed") })))), []);
});
