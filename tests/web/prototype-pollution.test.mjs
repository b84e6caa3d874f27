// Names that come from outside reach no prototype (OWASP ASVS 5.0, 15.3.6).
import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { test } from "node:test";
import { fileURLToPath } from "node:url";
import { filtersOf } from "../../services/gateway/web/console/past-filters.js";

const WEB = fileURLToPath(new URL("../../services/gateway/web", import.meta.url));
const NAMES = ["__proto__", "constructor", "prototype"];

/** All our modules. */
const modules = readdirSync(WEB, { recursive: true, encoding: "utf8" })
  .filter((name) => name.endsWith(".js") && !name.includes("node_modules"))
  .map((name) => [name, readFileSync(join(WEB, name), "utf8")]);

test("no value is written under two computed names, which is how a prototype is reached", () => {
  assert.ok(modules.length > 100);
  const nested = /\w\??(?:\.?\[[^\]]+\]){2,}\s*(?:=(?!=|>)|\?\?=|\|\|=|&&=|\+=)/;
  assert.ok(nested.test("target[a][b] = value") && !nested.test("if (target[a][b] === value)"));
  assert.deepEqual(
    modules.filter(([, text]) => nested.test(text)).map(([name]) => name),
    [],
  );
});

test("no module changes or hands out a prototype", () => {
  const reaching = /__proto__|setPrototypeOf|\.prototype\b|Object\.defineProperty\(Object/;
  assert.deepEqual(
    modules.filter(([, text]) => reaching.test(text)).map(([name]) => name),
    [],
  );
});

test("an address of the page gives no other filters than those that are known", () => {
  const before = Object.getOwnPropertyNames(Object.prototype);
  for (const name of NAMES) {
    const filters = filtersOf(`#chats?${name}=x&${name}[polluted]=yes&text=woord`, true);
    assert.deepEqual({ ...filters }, { text: "woord" });
    assert.equal(Object.getPrototypeOf(filters), Object.prototype);
  }
  assert.deepEqual(Object.getOwnPropertyNames(Object.prototype), before);
  assert.equal(/** @type {any} */ ({}).polluted, undefined);
});
