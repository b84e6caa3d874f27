// Mirrors services/gateway/web/widget/files.js: the name of a download, what an upload is answered with, and its words.
import assert from "node:assert/strict";
import test from "node:test";
import { size } from "../../services/gateway/web/shared/format.js";
import { because, fileName, outcome } from "../../services/gateway/web/widget/files.js";
import { widgetTexts } from "./texts.mjs";

const t = widgetTexts("nl", "files");
const SETTINGS = {
  attachment_bytes: 10 * 1024 * 1024,
  attachment_count: 20,
  attachment_total: 50 * 1024 * 1024,
};
const words = (problem) => because(t, problem, "nl", SETTINGS).replaceAll("\u00a0", " ");

test("the encoded name goes first", () => {
  assert.equal(fileName("attachment; filename=\"gesprek.txt\"; filename*=UTF-8''gespr%C3%A9k%20%E2%82%AC.txt"), "gesprék €.txt");
});

test("a plain name, quoted or not", () => {
  assert.equal(fileName('attachment; filename="mijn gesprek.pdf"'), "mijn gesprek.pdf");
  assert.equal(fileName("attachment; filename=a.json"), "a.json");
});

test("no name, or one that cannot be read", () => {
  for (const header of [null, undefined, "", "attachment", "attachment; filename*=UTF-8''%E2%82"]) assert.equal(fileName(header), null);
});

test("only a whole 201 is an attachment; what is no answer of ours is the network", () => {
  const file = {
    id: "f",
    name: "a.pdf",
    size: 3,
    content_type: "application/pdf",
    sha256: "",
  };
  assert.deepEqual(outcome(201, JSON.stringify(file)), { attachment: file });
  for (const text of ["<h1>Sign in", "{}", "null", '{"id":7,"name":"a","size":1}'])
    assert.deepEqual(outcome(201, text), { code: "network" });
  assert.deepEqual(outcome(200, JSON.stringify(file)), { code: "network" });
  assert.deepEqual(outcome(415, '{"code":"type_not_allowed","reason":"heic"}'), { code: "type_not_allowed", reason: "heic" });
  assert.deepEqual(outcome(502, "<h1>Bad gateway"), { code: "unavailable" });
  assert.deepEqual(outcome(403, "<h1>Blocked"), { code: "network" });
});

test("a refusal says why and what to do, with what is allowed and the limits of the server", () => {
  const refused = (reason, allowed) => words({ code: "type_not_allowed", reason, allowed });
  const reasons = ["empty", "password", "old_office", "heic", "macros", "active_content", "not_scannable"];
  for (const reason of reasons) assert.equal(refused(reason), t(reason));
  assert.match(refused("heic"), /meest compatibele indeling/);
  assert.match(refused("not_allowed", ["pdf", "office", "dwg"]), /Wel: pdf, Office \(docx, xlsx, pptx\) en dwg\.$/);
  for (const reason of [undefined, "unheard_of", 7]) assert.match(refused(reason), /Wel: pdf, png, .* en Office/);
  assert.match(
    words({
      code: "too_large",
      limit_bytes: 2_000_000,
      limit_files: 3,
      limit_total_bytes: 5_500_000,
    }),
    /hoogstens 2 MB per bestand, 3 bestanden en 5,5 MB per gesprek/,
  );
  assert.match(words({ code: "too_large", limit_bytes: "x" }), /10,5 MB per bestand, 20 bestanden en 52,5 MB/);
  assert.equal(words({ code: "unheard_of" }), t("refused"));
});

test("a size is in MB from 1,000 kB on, with the comma or the point of the language", () => {
  const shown = (bytes, language = "nl") => size(bytes, language).replaceAll("\u00a0", " ");
  assert.deepEqual(
    [1, 999, 1_000, 999_000, 999_001, 1_000_000, 8_000_000, 10_125_000].map((bytes) => shown(bytes)),
    ["1 kB", "1 kB", "1 kB", "999 kB", "1 MB", "1 MB", "8 MB", "10,2 MB"],
  );
  assert.equal(shown(10_125_000, "en"), "10.2 MB");
});
