"""`browser_kind.py`: the family of a browser and of its system, and nothing that identifies a machine."""

import pytest

from services.gateway.http.browser_kind import MOST, browser_kind

WINDOWS = "Mozilla/5.0 (Windows NT 10.0; Win64; x64)"
GECKO = "AppleWebKit/537.36 (KHTML, like Gecko)"


@pytest.mark.parametrize(
    ("user_agent", "kind"),
    [
        (f"{WINDOWS} {GECKO} Chrome/131.0.0.0 Safari/537.36", ("chrome", "windows")),
        (f"{WINDOWS} {GECKO} Chrome/131.0.0.0 Safari/537.36 Edg/131.0.0.0", ("edge", "windows")),
        (f"{WINDOWS} {GECKO} Chrome/130.0.0.0 Safari/537.36 OPR/115.0.0.0", ("opera", "windows")),
        ("Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0", ("firefox", "linux")),
        ("Mozilla/5.0 (Android 14; Mobile; rv:133.0) Gecko/133.0 Firefox/133.0", ("firefox", "android")),
        (
            "Mozilla/5.0 (Linux; Android 14; SM-S921B) AppleWebKit/537.36 (KHTML, like Gecko) "
            "SamsungBrowser/27.0 Chrome/125.0.0.0 Mobile Safari/537.36",
            ("samsung", "android"),
        ),
        (
            "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "Version/18.1 Safari/605.1.15",
            ("safari", "macos"),
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_1 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) "
            "CriOS/131.0.6778.73 Mobile/15E148 Safari/604.1",
            ("chrome", "ios"),
        ),
        ("Mozilla/5.0 (X11; CrOS x86_64 14541.0.0) Chrome/131.0.0.0 Safari/537.36", ("chrome", "chromeos")),
        ("curl/8.5.0", ("other", "other")),
        ("", ("other", "other")),
        ("x" * MOST + "Firefox/1 Windows", ("other", "other")),
        ("<script>Firefox</script>", ("other", "other")),
    ],
)
def test_a_browser_is_known_by_its_family(user_agent: str, kind: tuple[str, str]) -> None:
    assert browser_kind(user_agent) == {"browser": kind[0], "system": kind[1]}
