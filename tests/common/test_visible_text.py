"""`services/common/visible_text.py`: what is seen of names and other labels."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.visible_text import label, visible


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("An Peeters", "An Peeters"),
        (" An\t \n Peeters\u2028", "An Peeters"),
        ("\u202eAn\u202c \u2066Peeters\u2069\u200f", "An Peeters"),
        ("\u200b\u2060\ufeff\u00ad", ""),
        ("\u3164\u115f", ""),
        (
            "A\u0301n \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
            "A\u0301n \u0645\u06cc\u200c\u062e\u0648\u0627\u0647\u0645",
        ),
        ("An\u200d\u200d \U0001f468\u200d\U0001f469\u200d\U0001f467", "An \U0001f468\u200d\U0001f469\u200d\U0001f467"),
        ("a\x1b[31mb\x7f\x85c", "a[31mb c"),
        ("\ue000x", "x"),
    ],
)
def test_a_label_is_what_is_seen_of_it_in_one_line(text: str, seen: str) -> None:
    assert label(text) == seen


def test_a_label_with_nul_is_refused() -> None:
    with pytest.raises(ValueError, match="NUL"):
        label("a\0b")


@given(st.text())
def test_what_is_seen_is_seen_once_more(text: str) -> None:
    assert visible(visible(text)) == visible(text)
    assert len(visible(text)) <= len(text)
