// Mirrors services/gateway/web/console/i18n.js and its catalogues.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";
import { CATALOGUES, chooseLanguage, known, LANGUAGES, speaker } from "../../services/gateway/web/console/i18n.js";

const FOLDER = new URL("../../services/gateway/web/console/", import.meta.url);
const gaps = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();
const dutch = CATALOGUES.nl;

for (const language of LANGUAGES) {
  test(`${language} has the keys and the {values} of Dutch, and no empty text`, () => {
    const texts = CATALOGUES[language];
    assert.deepEqual(Object.keys(texts).sort(), Object.keys(dutch).sort());
    for (const [key, text] of Object.entries(texts)) {
      assert.ok(text.trim(), key);
      assert.deepEqual(gaps(text), gaps(dutch[key]), key);
      if (language !== "nl" && text.split(" ").length > 3) assert.notEqual(text, dutch[key], key);
    }
  });
}

test("every text that the modules and the page name is there", () => {
  const files = readdirSync(FOLDER).filter((name) => /\.(js|html)$/.test(name));
  const source = files.map((name) => readFileSync(new URL(name, FOLDER), "utf8")).join("\n");
  const named = [...source.matchAll(/\bt\("([\w.]+)"|data-text="([\w.]+)"|leave\("([\w.]+)"/g)].map(
    (match) => match[1] ?? match[2] ?? match[3],
  );
  assert.ok(named.length > 80);
  for (const key of new Set(named)) assert.ok(key in dutch || `${key}.other` in dutch, key);
});

test("every reason and code of the protocol has words of its own", () => {
  const words = {
    ended: ["citizen", "agent", "inactive", "no_agent", "away", "other"],
    gone: ["transferred", "agent_left", "not_accepted", "unanswered", "refused", "other"],
    returned: ["refused", "unanswered", "other"],
    choice: ["named", "only_one", "language", "fewest_chats", "longest_idle", "other"],
    state: ["why_accept_overdue"],
    error: ["invalid", "too_long", "unknown_attachment", "chat_closed", "not_yours", "rate_limited", "unavailable", "other"],
    attach: ["too_large", "type_not_allowed", "infected", "chat_closed", "forbidden", "rate_limited", "unavailable", "other"],
  };
  for (const [prefix, codes] of Object.entries(words))
    for (const code of codes) assert.ok(`${prefix}.${code}` in dutch, `${prefix}.${code}`);
});

test("a code that is not known yet gets the general words", () => {
  const t = speaker("en");
  assert.equal(known(t, "gone", "abducted"), CATALOGUES.en["gone.other"]);
  assert.equal(known(t, "gone", "transferred"), CATALOGUES.en["gone.transferred"]);
});

test("the first wish that can be had decides, else Dutch", () => {
  assert.equal(chooseLanguage([null, "tlh", "FR-be", "en"]), "fr");
  assert.equal(chooseLanguage(["es"]), "nl");
  assert.equal(chooseLanguage([]), "nl");
});

test("numbers choose the plural", () => {
  const t = speaker("nl");
  assert.equal(t("item.unread", { n: 1 }), "1 ongelezen bericht");
  assert.equal(t("item.unread", { n: 3 }), "3 ongelezen berichten");
});

test("a name from right to left is isolated, any other stands as it is", () => {
  const t = speaker("en");
  assert.equal(t("chat.with", { name: "An" }), "Chat with An");
  assert.equal(t("chat.with", { name: "مريم" }), "Chat with \u2068مريم\u2069");
  assert.equal(t("chat.with", { name: "a\u202eb" }), "Chat with \u2068a\u202eb\u2069");
});

test("braces in a value are not filled in again", () => {
  assert.equal(speaker("en")("chat.with", { name: "{name}" }), "Chat with {name}");
});
