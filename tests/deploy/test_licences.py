"""Every pinned package has a licence that the project accepts, and the page says which."""

import pytest

from tests.deploy.licences import FILE, is_allowed, licence, packages, page


def test_every_licence_is_accepted() -> None:
    wrong = [
        f"{name}: {licence(name)}" for name, purpose in packages().items() if not is_allowed(licence(name), purpose)
    ]
    assert wrong == []


def test_the_page_is_up_to_date() -> None:
    assert FILE.read_text() == page(), "python -m tests.deploy.licences"


@pytest.mark.parametrize(
    ("expression", "purpose", "accepted"),
    [
        ("MIT", "images", True),
        ("MPL-2.0 AND (Apache-2.0 OR MIT)", "images", True),
        ("GPL-3.0-only OR MIT", "images", True),
        ("GPL-2.0-only", "images", False),
        ("MIT AND GPL-2.0-only", "images", False),
        ("MIT AND (GPL-2.0-only OR AGPL-3.0-only)", "tests and checks", False),
        ("GPL-2.0-only AND CC-BY-4.0", "development", True),
        ("UNKNOWN", "tests and checks", False),
    ],
)
def test_an_expression_is_read_as_spdx_has_it(expression: str, purpose: str, accepted: bool) -> None:
    assert is_allowed(expression, purpose) is accepted
