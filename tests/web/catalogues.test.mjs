// Mirrors services/gateway/web/loket-chat/text: four languages say the same.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

const FOLDER = new URL("../../services/gateway/web/loket-chat/", import.meta.url);
const LANGUAGES = ["nl", "fr", "de", "en"];
const read = async (path) => (await import(new URL(`text/${path}.js`, FOLDER))).default;
const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

for (const part of ["", "launcher/"]) {
  test(`the catalogues ${part} have the same keys and the same {values}, and no empty text`, async () => {
    const dutch = await read(`${part}nl`);
    for (const language of LANGUAGES) {
      const texts = await read(part + language);
      assert.deepEqual(Object.keys(texts).sort(), Object.keys(dutch).sort(), language);
      for (const [key, text] of Object.entries(texts)) {
        assert.ok(text.trim(), `${language} ${key}`);
        assert.deepEqual(values(text), values(dutch[key]), `${language} ${key}`);
      }
    }
  });
}

test("no language borrows another's sentences", async () => {
  const [dutch, ...others] = await Promise.all(LANGUAGES.map(read));
  for (const texts of others)
    for (const [key, text] of Object.entries(texts)) if (text.split(" ").length > 3) assert.notEqual(text, dutch[key], key);
});

test("every text that the code asks for is there", async () => {
  const dutch = await read("nl");
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".js") && name !== "widget.js");
  const asked = files.flatMap((name) => [...readFileSync(new URL(name, FOLDER), "utf8").matchAll(/\bt\("(\w+)"/g)].map(([, key]) => key));
  assert.ok(asked.length > 30);
  for (const key of asked) assert.ok(Object.hasOwn(dutch, key), key);
  for (const reason of ["Citizen", "Agent", "Inactive", "No_agent"]) assert.ok(dutch[`end${reason}`], reason);
});
