// Mirrors services/gateway/web/widget/text: four languages say the same.
import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import test from "node:test";

const FOLDER = new URL("../../services/gateway/web/widget/", import.meta.url);
const LANGUAGES = ["nl", "fr", "de", "en"];
const read = async (path) => (await import(new URL(`text/${path}.js`, FOLDER))).default;
const values = (text) => [...text.matchAll(/\{\w+\}/g)].map(([name]) => name).sort();

const LATER = ["files", "waiting", "inactive"]; // come with the module of that name

for (const part of ["", "launcher/", ...LATER.map((name) => `${name}/`)]) {
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
  for (const part of ["", ...LATER.map((name) => `${name}/`)]) {
    const [dutch, ...others] = await Promise.all(LANGUAGES.map((language) => read(part + language)));
    for (const texts of others)
      for (const [key, text] of Object.entries(texts))
        if (text.split(" ").length > 3 && !key.startsWith("kind_")) assert.notEqual(text, dutch[key], key);
  }
});

test("every text that the code asks for is there", async () => {
  const common = await read("nl");
  const own = Object.fromEntries(await Promise.all(LATER.map(async (part) => [part, await read(`${part}/nl`)])));
  for (const texts of Object.values(own)) for (const key of Object.keys(texts)) assert.ok(!Object.hasOwn(common, key), `${key} twice`);
  const files = readdirSync(FOLDER).filter((name) => name.endsWith(".js") && name !== "widget.js");
  const PARTS = { "leave-question.js": "waiting", "queue-info.js": "waiting", "inactivity-warning.js": "inactive" };
  const part = (name) => PARTS[name] ?? name.replace(".js", "");
  let count = 0;
  for (const name of files)
    for (const [, key] of readFileSync(new URL(name, FOLDER), "utf8").matchAll(/\bt\("(\w+)"/g)) {
      assert.ok(Object.hasOwn({ ...common, ...own[part(name)] }, key), `${name}: ${key}`);
      count += 1;
    }
  assert.ok(count > 60);
  for (const reason of ["Citizen", "Agent", "Inactive", "No_agent"]) assert.ok(common[`end${reason}`], reason);
});
