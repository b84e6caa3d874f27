"""HTML templates escape every value, and a value that is not passed is an error."""

from pathlib import Path

import pytest
from jinja2 import UndefinedError

from services.common.templates import load_template


def made(tmp_path: Path, source: str, **values: object) -> str:
    (tmp_path / "a.html").write_text(source)
    return load_template(tmp_path / "a.html").render(**values)


@pytest.mark.parametrize("source", ["<p>{{ x }}</p>", '<p title="{{ x }}">', "{% for y in [x] %}{{ y }}{% endfor %}"])
def test_every_value_is_escaped(tmp_path: Path, source: str) -> None:
    escaped = "&lt;b&gt; &amp;amp; &#34; &#39; {{ 7*7 }} {% raw %}"
    page = made(tmp_path, source, x="""<b> &amp; " ' {{ 7*7 }} {% raw %}""")
    assert page == source.replace("{{ x }}", escaped).replace("{% for y in [x] %}{{ y }}{% endfor %}", escaped)


def test_a_value_that_is_not_passed_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UndefinedError):
        made(tmp_path, "{{ x }}")
    with pytest.raises(UndefinedError):
        made(tmp_path, "{% if x %}{% endif %}")


def test_statements_leave_no_lines(tmp_path: Path) -> None:
    assert made(tmp_path, "a\n  {% if x %}\nb\n  {% endif %}\nc\n", x=1) == "a\nb\nc\n"


def test_a_template_is_read_once(tmp_path: Path) -> None:
    (tmp_path / "a.html").write_text("before")
    template = load_template(tmp_path / "a.html")
    (tmp_path / "a.html").unlink()
    assert template.render() == "before"
