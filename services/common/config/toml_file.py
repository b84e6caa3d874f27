"""Configuration in TOML, which services read at start and validate as a whole: a file, or a stored text."""

from __future__ import annotations

import re
import tomllib
from typing import IO, Any, Literal, Protocol, TypeVar

from pydantic import BaseModel, ValidationError

from services.common.config.faults import Fault, fault_of, toml_fault

MOST_PARTS = 32  # of a dotted key; the time to parse one grows much faster than their number
_PART = r"""(?:[A-Za-z0-9_-]+|"(?:[^"\\\n]|\\.){0,200}"|'[^'\n]*')"""
_LONG_KEY = re.compile(rf"(?<![A-Za-z0-9_-])(?:{_PART}[ \t]*\.[ \t]*){{{MOST_PARTS}}}")
MOST_STORED = 400_000  # bytes of one stored text, in UTF-8: a request is below 1 MiB with a backslash at each of them
M = TypeVar("M", bound=BaseModel)


class ConfigurationError(Exception):
    """The configuration cannot be used. The text says where the error is and what to do.

    Attributes:
        fault: What is wrong, for pages that say it in words of their own; None: nothing that they know.
    """

    def __init__(self, text: str, fault: Fault | None = None) -> None:
        super().__init__(text)
        self.fault = fault


class Source(Protocol):
    """Where a configuration is read: a `Path`, or a text that is held (`stored_text.py`).

    As a text it is what messages call it.
    """

    def open(self, mode: Literal["rb"], /) -> IO[bytes]:
        """Return its content.

        Raises:
            OSError: It cannot be read.
        """


def load_toml(setting: str, source: Source, model: type[M], with_faults: bool = False) -> M:
    """Return the content of this file or text.

    Args:
        setting: The setting that names the file, for the message.
        source: The file or text.
        model: What it must contain.
        with_faults: Whether the error has the fault.

    Raises:
        ConfigurationError: The content is invalid; the message names the source, the place and the problem.
    """
    content = b""
    try:
        with source.open("rb") as opened:
            content = opened.read()
        return model.model_validate(_parsed(content))
    except OSError as error:
        raise ConfigurationError(f"{setting} {source}: cannot be read ({error.strerror}).") from None
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(p) for p in first["loc"]) or "the file"
        problem, fault = f"{place}: {first['msg']}", fault_of(first)
    except RecursionError:
        problem, fault = "is not TOML: it is nested too deeply", Fault("toml_deep")
    except _LongKey as error:
        problem = f"is not TOML: {error}"
        fault = Fault("toml_long_key", {"line": error.line, "most": MOST_PARTS})
    except ValueError as error:  # of the parser, also for a number with more than 4,300 digits
        problem, fault = f"is not TOML: {error}", toml_fault(str(error), content.decode(errors="replace"))
    raise ConfigurationError(f"{setting} {source}: {problem}.", fault if with_faults else None)


class _LongKey(ValueError):
    """A dotted key has too many parts, at this line."""

    def __init__(self, line: int) -> None:
        super().__init__(f"a key has more than {MOST_PARTS} parts (at line {line})")
        self.line = line


def _parsed(content: bytes) -> dict[str, Any]:
    """Return the document of this content.

    Raises:
        RecursionError: It is nested too deeply.
        ValueError: It is not TOML, or has a key that takes too long to parse.
    """
    text = content.decode()
    if found := _LONG_KEY.search(text):
        raise _LongKey(text.count("\n", 0, found.start()) + 1)
    return tomllib.loads(text)
