// Mirrors services/gateway/web/console/i18n.js and services/gateway/web/shared/translator.js.
import assert from "node:assert/strict";
import test from "node:test";
import { chooseLanguage, known } from "../../services/gateway/web/console/i18n.js";
import { translator } from "../../services/gateway/web/shared/translator.js";
import { consoleTexts, texts } from "./texts.mjs";

test("a code that is not known yet gets the general words", () => {
  const t = consoleTexts("en");
  assert.equal(known(t, "gone", "abducted"), texts("console/translations", "en")["gone.other"]);
  assert.equal(known(t, "gone", "transferred"), texts("console/translations", "en")["gone.transferred"]);
});

test("the first wish that can be had decides, else Dutch", () => {
  assert.equal(chooseLanguage([null, "tlh", "FR-be", "en"]), "fr");
  assert.equal(chooseLanguage(["es"]), "nl");
  assert.equal(chooseLanguage([]), "nl");
});

test("numbers choose the plural", () => {
  const t = consoleTexts("nl");
  assert.equal(t("item.unread", { n: 1 }), "1 ongelezen bericht");
  assert.equal(t("item.unread", { n: 3 }), "3 ongelezen berichten");
});

test("a name from right to left is isolated, any other stands as it is", () => {
  const t = consoleTexts("en");
  assert.equal(t("chat.with", { name: "An" }), "Chat with An");
  assert.equal(t("chat.with", { name: "مريم" }), "Chat with \u2068مريم\u2069");
  assert.equal(t("chat.with", { name: "a\u202eb" }), "Chat with \u2068a\u202eb\u2069");
});

test("braces in a value are not filled in again", () => {
  assert.equal(consoleTexts("en")("chat.with", { name: "{name}" }), "Chat with {name}");
});

test("a text without plural forms may have a number; a form that a language lacks is the general one", () => {
  const t = translator(
    {
      left: "{n} left",
      "files.other": "{n} fichiers",
      "files.one": "{n} fichier",
    },
    "fr",
  );
  assert.equal(t("left", { n: 1 }), "1 left");
  assert.deepEqual([t("files", { n: 0 }), t("files", { n: 2 }), t("files", { n: 1e6 })], ["0 fichier", "2 fichiers", "1000000 fichiers"]);
});

test("a text that is absent reads as its key, and a placeholder without a value stays", () => {
  const t = translator({ known: "{name} {other}" }, "nl");
  assert.equal(t("unknown"), "unknown");
  assert.equal(t("known", { name: "An" }), "An {other}");
  assert.deepEqual([t.has("known"), t.has("unknown"), t.has("toString"), t.has(undefined)], [true, false, false, false]);
});
