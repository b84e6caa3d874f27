// Mirrors services/gateway/web/shared/links.js.
import assert from "node:assert/strict";
import test from "node:test";

import { linkParts } from "../../services/gateway/web/shared/links.js";

const links = (text) => linkParts(text).filter((part) => typeof part !== "string");
const addresses = (text) => links(text).map((part) => part.text);

test("an address ends where the sentence around it goes on", () => {
  for (const [text, ...found] of [
    ["Zie https://nl.wikipedia.org/wiki/Gent_(stad).", "https://nl.wikipedia.org/wiki/Gent_(stad)"],
    ["(zie https://example.be/a)", "https://example.be/a"],
    ["[https://example.be/a[1]], https://example.be/b", "https://example.be/a[1]", "https://example.be/b"],
    ["\u201chttps://example.be/premies\u201d", "https://example.be/premies"],
    ["\u00abhttps://example.be/premies\u00bb\u2026", "https://example.be/premies"],
    ["'https://example.be/premies'?!", "https://example.be/premies"],
    ["https://example.be/l\u2019eau\u2019", "https://example.be/l\u2019eau"],
    ["\u8bf7\u770b\uff08https://example.be/a\uff09\u3002", "https://example.be/a"],
    ["<https://example.be/?a=1&b=(2)#c>", "https://example.be/?a=1&b=(2)#c"],
    ["https://example.be/a\u202egnp.exe", "https://example.be/a"],
    ["https://example.be/)))", "https://example.be/"],
  ])
    assert.deepEqual(addresses(text), found, text);
});

test("an address may be in capitals or begin with www", () => {
  assert.deepEqual(links("HTTPS://Example.BE/A en WWW.Gent.be."), [
    { text: "HTTPS://Example.BE/A", href: "https://example.be/A", host: undefined },
    { text: "WWW.Gent.be", href: "https://www.gent.be/", host: undefined },
  ]);
});

test("e-mail addresses and telephone numbers are links", () => {
  assert.deepEqual(
    links("Mail An.Peeters+x@stad.gent.be, bel +32 (0)9 123 45 67, 0032470123456, 0470/12.34.56, 09 123 45 67 of 050 12 34 56.").map(
      ({ href }) => href,
    ),
    ["mailto:An.Peeters+x@stad.gent.be", "tel:+3291234567", "tel:+32470123456", "tel:0470123456", "tel:091234567", "tel:050123456"],
  );
});

test("nothing else is a link", () => {
  for (const text of [
    "",
    "https:// www. www.x xhttps://example.be ftp://example.be javascript:alert(1) data:text/html,x",
    "an@localhost a@b.c@d.be @an",
    "op 01/02/2026 10:30, 01.02.2026 10.30 en 2026-11-29 12:00",
    "+++123/4567/89012+++ dossier 012345678 of 2026-000123-45678",
    "85.07.30-033.28 BE71 0961 2345 6769 4111 1111 1111 1111 0123.456.789",
    "112, 1700 en 12 000 000 000 euro",
  ])
    assert.deepEqual(addresses(text), [], text);
});

test("a host that the writing hides is told", () => {
  assert.equal(links("https://belgium.be@evil.example/login")[0].host, "evil.example");
  assert.equal(links("https://\u0430pple.com/")[0].host, "xn--pple-43d.com"); // a Cyrillic letter
  assert.equal(links("https://www.belgium.be.evil.example/")[0].host, undefined); // it is there to be read
  assert.equal(links("https://example.be:8443/~x")[0].host, undefined);
});

test("the parts are the whole text, whatever it is", () => {
  const text = "A www.gent.be (b) c@d.be, +32 9 123 45 67 e https://example.be/f). g";
  assert.equal(
    linkParts(text)
      .map((part) => (typeof part === "string" ? part : part.text))
      .join(""),
    text,
  );
});

test("the longest text takes no time, whatever it repeats", () => {
  for (const piece of [")", "a@", "a", "www.", "+1", "0", "00 1", "https://", "04 12", "a.", "(0)", "a@a."]) {
    for (const text of [piece.repeat(4000), `https://a${piece.repeat(4000)}`, `a@${piece.repeat(4000)}`]) {
      const began = performance.now();
      linkParts(text.slice(0, 4000));
      assert.ok(performance.now() - began < 500, piece);
    }
  }
});
