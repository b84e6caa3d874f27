"""Style sheets as they are served: a browser reads the same rules in them as in those that are written."""

import pytest
from playwright.async_api import Browser
from rjsmin import jsmin

from services.gateway.http.pages.static_files import body_of, minified, served

pytestmark = [pytest.mark.e2e, pytest.mark.asyncio(loop_scope="session")]

RULES = """(css) => {
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(css);
  return [...sheet.cssRules].map(({ cssText }) => cssText.replace(/\\s*([(),])\\s*/g, "$1"));
}"""
"""The rules of a style sheet as Chromium writes them. What has `var()` it leaves as it is, but for white space here."""


def sheets(module: bytes) -> list[tuple[str, str]]:
    """The style sheets of a module, its templates of several lines: as they are written and as they are sent."""
    written, sent = (text.decode().split("`")[1::2] for text in (jsmin(module), minified(module)))
    return [pair for pair in zip(written, sent, strict=True) if "\n" in pair[0]]


async def test_a_style_sheet_has_the_rules_with_which_it_was_written(browser: Browser) -> None:
    pairs = []
    for name, (path, *_) in served().items():
        if path.suffix == ".css":
            pairs.append((name, path.read_text(), body_of(path).decode()))
        elif path.suffix == ".js":
            pairs += [(name, *pair) for pair in sheets(path.read_bytes())]
    assert len(pairs) > 20
    page = await browser.new_page()
    for name, written_sheet, sent_sheet in pairs:
        rules = await page.evaluate(RULES, written_sheet)
        assert len(sent_sheet) < len(written_sheet), name
        assert rules, name
        assert await page.evaluate(RULES, sent_sheet) == rules, name
    await page.close()
