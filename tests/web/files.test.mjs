// Mirrors services/gateway/web/loket-chat/files.js: the name under which a download is kept.
import assert from "node:assert/strict";
import test from "node:test";
import { fileName } from "../../services/gateway/web/loket-chat/files.js";

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
