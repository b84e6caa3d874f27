// What a page pays for <eloket-chat>: every module is counted as it is sent, compressed by itself.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import test from "node:test";
import { gzipSync } from "node:zlib";

const WEB = new URL("../../services/gateway/web/", import.meta.url);
const IMPORT = /(?:\bfrom|\bimport) "(\.[^"]+)"/g;

// /widget.js stands at the root of the server, everything else under /static/; the folder of the widget has another name there.
const place = (path) => (path === "/widget.js" ? "widget/widget.js" : path.replace("/static/", "").replace(/^loket-chat\//, "widget/"));
const source = (path) => readFileSync(new URL(place(path), WEB), "utf8");

/** All modules that come with these, by their imports. */
function withImports(paths, found = new Set()) {
  for (const path of paths) {
    if (found.has(path)) continue;
    found.add(path);
    const wanted = [...source(path).matchAll(IMPORT)].map(([, name]) => new URL(name, `http://here${path}`).pathname);
    withImports(wanted, found);
  }
  return found;
}

const weight = (paths) => [...paths].reduce((sum, path) => sum + gzipSync(source(path), { level: 6 }).length, 0);
const MODULES = ["/static/shared/button-status.js", "/static/shared/dom.js", "/static/loket-chat/launcher-style.js"]; // by import()
const launcher = (lang) => withImports(["/widget.js", ...MODULES, `/static/loket-chat/text/launcher/${lang}.js`]);
const opened = (lang) => withImports(["/static/loket-chat/panel.js", `/static/loket-chat/text/${lang}.js`], launcher(lang));

for (const lang of ["nl", "fr", "de", "en"]) {
  test(`${lang}: the launcher alone costs at most 9 kB, with the panel at most 35 kB`, (t) => {
    const [alone, all] = [weight(launcher(lang)), weight(opened(lang))];
    t.diagnostic(`launcher ${alone} bytes, with the panel ${all} bytes`);
    assert.ok(alone <= 9_000, `launcher: ${alone}`);
    assert.ok(all <= 35_000, `with the panel: ${all}`);
  });
}

for (const [name, module, most] of [
  ["files", "files", 6_000],
  ["waiting", "queue-info", 6_500],
  ["inactive", "inactivity-warning", 3_000],
])
  test(`${name}: comes later, and costs at most ${most} bytes then`, (t) => {
    for (const lang of ["nl", "fr", "de", "en"]) {
      const before = opened(lang);
      assert.ok(!before.has(`/static/loket-chat/${module}.js`));
      const all = withImports([
        `/static/loket-chat/${module}.js`,
        "/static/loket-chat/lazy-panels.js",
        `/static/loket-chat/text/${name}/${lang}.js`,
      ]);
      const more = weight([...all].filter((path) => !before.has(path)));
      t.diagnostic(`${lang} ${more} bytes`);
      assert.ok(more <= most, `${lang}: ${more}`);
    }
  });

test("the imports were followed", () => {
  assert.ok(launcher("nl").has("/static/shared/dom.js"));
  assert.ok(opened("nl").has("/static/shared/close-codes.js"));
  assert.ok(opened("nl").size > launcher("nl").size + 8);
});

test("modules come from our own server alone", () => {
  for (const path of withImports([
    ...opened("nl"),
    ...["files", "lazy-panels", "queue-info", "inactivity-warning"].map((name) => `/static/loket-chat/${name}.js`),
  ]))
    assert.doesNotMatch(source(path), /(from|import\()\s*["'`]https?:/);
});
