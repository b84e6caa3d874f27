"""Catalogues of translated texts: a folder with one JSON file for each language. The format is in docs/texts.md."""

from __future__ import annotations

from pathlib import Path

from pydantic import TypeAdapter

from services.common.config.departments import LOCALES

_FILE = TypeAdapter(dict[str, str | dict[str, str]])


def supported_language(locale: str) -> str:
    """Return the language itself when it is one of the four, else Dutch."""
    return locale if locale in LOCALES else "nl"


def preferred_language(accept_language: str, otherwise: str = "nl") -> str:
    """Return the best of the four languages in an `Accept-Language` header, by its weights (RFC 9110 §12.5.4).

    Parts that are not understood are ignored.

    Args:
        accept_language: The value of the header; empty when there is none.
        otherwise: The language when the header has none of the four.
    """
    weighed: list[tuple[float, str]] = []
    for part in accept_language.split(","):
        tag, _, weight = "".join(part.split()).partition(";q=")
        language = tag.split("-")[0].lower()
        try:
            quality = float(weight or 1)
        except ValueError:
            continue
        if language in LOCALES and quality > 0:
            weighed.append((quality, language))
    return max(weighed, key=lambda one: one[0])[1] if weighed else otherwise


class Catalogue:
    """The texts of one part of a service in the four languages, read once from their files.

    A language that is not one of the four reads Dutch.
    """

    def __init__(self, folder: Path) -> None:
        self._texts = {
            language: _FILE.validate_json((folder / f"{language}.json").read_bytes(), strict=True)
            for language in LOCALES
        }

    def has(self, key: str) -> bool:
        """Return whether there is such a text."""
        return key in self._texts["nl"]

    def text(self, language: str, key: str, **values: object) -> str:
        """Return a text with its placeholders filled in, or as it is when no values are given.

        Values are not searched for placeholders.

        Raises:
            KeyError: The catalogue has no such text, or a placeholder has no value.
        """
        found = self._texts[supported_language(language)][key]
        assert isinstance(found, str), f"{key} has plural forms"
        return found.format(**values) if values else found

    def forms(self, language: str, key: str) -> dict[str, str]:
        """Return the plural forms of a text by their CLDR category, with their placeholders.

        Raises:
            KeyError: The catalogue has no such text.
        """
        found = self._texts[supported_language(language)][key]
        assert isinstance(found, dict), f"{key} has no plural forms"
        return found
