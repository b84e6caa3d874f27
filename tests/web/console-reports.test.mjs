// Mirrors services/gateway/web/console/reports.js: its RULES, and the days and numbers of format.js.
import assert from "node:assert/strict";
import test from "node:test";
import { FIGURES, FIGURES_OF_AGENTS, bars, figure, pauseLines, periodName, shownOf } from "../../services/gateway/web/console/reports.js";
import { reportUrl } from "../../services/gateway/web/console/api.js";
import { day, number, today, useZone } from "../../services/gateway/web/console/format.js";
import { consoleTexts } from "./texts.mjs";

const ALL = {
  offered: 1234,
  served: 9,
  abandoned: 2,
  wait_p50: 20,
  wait_p90: 100,
  first_answer_p50: null,
  first_answer_p90: null,
  duration_p50: 200,
  duration_p90: 3725,
  transferred: 1,
  left_questions: 0,
  helped_yes: 3,
  helped_partly: 1,
  helped_no: 0,
  scores: 4,
  score_mean: 4.25,
  wrap_up_p50: 40,
  wrap_up_p90: 120,
  wrap_up_total: 160,
  paused_total: 5400,
};

test("each figure reads in the language of the agent", () => {
  const t = consoleTexts("nl");
  assert.deepEqual(
    FIGURES.map((name) => figure(t, name, ALL).replaceAll("\u00a0", "_")),
    [
      "1.234",
      "9",
      "2",
      "20_sec / 1_min_40_sec",
      "–",
      "3_min_20_sec / 1_uur_2_min",
      "40_sec / 2_min",
      "1_uur_30_min",
      "1",
      "0",
      "3 / 1 / 0",
      "4,25 (4)",
    ],
  );
  assert.equal(figure(consoleTexts("en"), "score", ALL), "4.25 (4)");
  assert.equal(figure(t, "score", { scores: 0, score_mean: null }), "–");
});

test("a time of no seconds is a time, and none is none", () => {
  const t = consoleTexts("en");
  assert.equal(figure(t, "wait", { wait_p50: 0, wait_p90: 0 }), "0\u00a0secs / 0\u00a0secs");
  assert.equal(figure(t, "wait", { wait_p50: null, wait_p90: null }), "–");
});

test("of an agent nothing is told that a department decides", () => {
  for (const name of ["offered", "abandoned", "wait", "left_questions"]) assert.ok(!FIGURES_OF_AGENTS.includes(name), name);
  for (const name of FIGURES_OF_AGENTS) assert.ok(FIGURES.includes(name), name);
});

test("days and weeks are named with their days", () => {
  const t = consoleTexts("en");
  const one = { period: "2026-10-25", from: "2026-10-25", until: "2026-10-25" };
  assert.equal(periodName(t, one, { from: "2026-10-01", until: "2026-10-31" }), "Sun 25 Oct");
  assert.match(periodName(t, one, { from: "2026-10-01", until: "2027-01-31" }), /Sun.* 25 Oct 2026/);
  const week = { period: "2027-W01", from: "2027-01-04", until: "2027-01-10" };
  assert.match(periodName(t, week, week), /^Week 1, 4 Jan 2027 – 10 Jan 2027$/);
});

test("the highest bar fills the chart, and without anything there are no bars", () => {
  assert.deepEqual(
    bars([
      [1, 2],
      [2, 4],
      [0, 0],
    ]),
    [
      { part: 25, whole: 50 },
      { part: 50, whole: 100 },
      { part: 0, whole: 0 },
    ],
  );
  assert.deepEqual(bars([[0, 0]]), [{ part: 0, whole: 0 }]);
});

test("today is the day of the service, wherever the computer is", () => {
  useZone("Europe/Brussels");
  assert.equal(today(new Date("2026-10-24T21:59:59Z")), "2026-10-24");
  assert.equal(today(new Date("2026-10-24T22:00:00Z")), "2026-10-25");
  assert.equal(today(new Date("2026-10-25T22:59:59Z")), "2026-10-25");
  assert.equal(day("2026-10-25", "nl", { weekday: "short" }), "zo");
  assert.equal(number(1234.567, "de"), "1.234,57");
});

test("all departments are asked for by naming none", () => {
  const wish = {
    from: "2026-10-01",
    until: "2026-10-31",
    by: "day",
    department: "",
  };
  assert.equal(reportUrl(wish), "/api/agent/reports?from=2026-10-01&until=2026-10-31&by=day");
  assert.equal(
    reportUrl({ ...wish, department: "a&b", format: "csv" }),
    "/api/agent/reports?from=2026-10-01&until=2026-10-31&by=day&format=csv&department=a%26b",
  );
});

test("the time to wrap chats up is shown where a department gives one", () => {
  assert.ok(shownOf(FIGURES, ALL).includes("wrap_up"));
  assert.ok(shownOf(FIGURES_OF_AGENTS, ALL).includes("wrap_up"));
  assert.deepEqual(
    shownOf(FIGURES, { ...ALL, wrap_up_total: 0 }),
    FIGURES.filter((name) => name !== "wrap_up"),
  );
  assert.ok(!shownOf(FIGURES, { offered: 1 }).includes("wrap_up"), "a server of an earlier release does not tell it");
});

test("pauses are told by reason, in words, and not at all where there were none", () => {
  const t = consoleTexts("en");
  const report = {
    total: {
      pauses: [
        { reason: "lunch", pauses: 2, seconds: 5400 },
        { reason: "old", pauses: 1, seconds: 60 },
        { reason: null, pauses: 1, seconds: 30 },
      ],
    },
    names: { pause_reasons: { lunch: { nl: "Middagpauze", en: "Lunch" } } },
  };
  assert.deepEqual(pauseLines(t, report), [
    ["Lunch", "2", "1 hr 30 mins"],
    ["old", "1", "1 min"],
    ["Without a reason", "1", "30 secs"],
  ]);
  assert.deepEqual(pauseLines(t, { total: {} }), [], "a server before 2.0 does not tell them");
  assert.ok(!shownOf(FIGURES, { wrap_up_total: 0, paused_total: 0 }).includes("paused"));
  assert.ok(shownOf(FIGURES, { wrap_up_total: 0, paused_total: 1 }).includes("paused"));
});
