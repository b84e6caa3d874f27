"""What a page sends to start a chat, and where it comes from. Other routes of citizens take the same members."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated
from urllib.parse import urlsplit

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SerializerFunctionWrapHandler, model_serializer

from services.common.config.departments import Department
from services.common.events.types import Form
from services.common.http.problems import Problem
from services.common.visible_text import label
from services.gateway.http.dependencies import address_of
from services.gateway.identifying_numbers import NumberRules
from services.gateway.settings import Settings

KEY_LENGTHS = (22, 255)  # 22 characters of base64 are 128 random bits


def _clean(text: str) -> str:
    if "\0" in text:
        raise ValueError("must not contain NUL")
    return text


def _web_address(value: str) -> str:
    if urlsplit(value).scheme not in ("http", "https") or not urlsplit(value).netloc:
        raise ValueError("must be an http or https address")
    return value


Line = Annotated[str, Field(max_length=200), AfterValidator(label)]


def require_key(key: str | None) -> None:
    """Check the length of an `Idempotency-Key`, if there is one.

    Raises:
        Problem: 422 `invalid`.
    """
    if key is not None and not KEY_LENGTHS[0] <= len(key) <= KEY_LENGTHS[1]:
        raise Problem(
            422,
            "invalid",
            f"An Idempotency-Key has {KEY_LENGTHS[0]} to {KEY_LENGTHS[1]} characters and is random: send a UUID.",
        )


class FormMembers(BaseModel):
    """The online form that the citizen has open."""

    model_config = ConfigDict(extra="ignore")
    id: Line | None = None
    title: Annotated[str, Field(max_length=500), AfterValidator(label)] | None = None
    url: Annotated[str, Field(max_length=2_000), AfterValidator(_clean), AfterValidator(_web_address)] | None = None
    step: Line | None = None
    field: Line | None = None
    error: Line | None = None

    @model_serializer(mode="wrap")
    def _without_absent_places(self, handler: SerializerFunctionWrapHandler) -> dict[str, str | None]:
        """Leave out the members of version 2.0 that are absent.

        The id of a chat is derived from the request: a repeat during an update reaches replicas of both versions.
        """
        members: dict[str, str | None] = handler(self)
        return {name: value for name, value in members.items() if value or name not in ("step", "field", "error")}


def form_of(members: FormMembers | None, numbers: NumberRules, department: Department) -> Form | None:
    """Return the form for events, with the numbers masked that the department does not allow."""
    if members is None:
        return None
    given = members.model_dump().items()
    return Form(**{name: value and numbers.mask(value, department.id) for name, value in given})


class StartChat(BaseModel):
    """What a citizen may send when they start a chat. All members are optional.

    Attributes:
        department: Left out: the default one.
        locale: The language of the chat.
        name: The citizen's name.
        browser: The random id of the browser, for blocks.
        question: The citizen's first message.
        form: The online form.
        queue: They choose to wait when all agents are in conversation, where the department allows it.
        reservation: The token of a slot that was reserved while the form was open.
        seen: The revision of the green button that was pressed, so that the press may be a moment too late.
    """

    model_config = ConfigDict(extra="ignore", strict=True)
    department: str | None = None
    locale: str | None = None
    name: Line | None = None
    browser: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]{22,64}$")] | None = None
    question: Annotated[str, Field(max_length=4_000), AfterValidator(_clean)] | None = None
    form: FormMembers | None = None
    queue: bool = False
    reservation: Annotated[str, Field(max_length=1_000)] | None = None
    seen: Annotated[int, Field(ge=0, le=2**53)] | None = None


def members_of(wanted: StartChat) -> str:
    """Return what makes two requests the same one, as JSON that is the same in every version.

    `reservation` and `seen` say how the chat starts and not which one it is. Members that came after version 1.1 are
    left out where they are absent, so that a repeat at a gateway of another version returns the same chat.
    """
    absent: dict[str, bool | set[str]] = {"reservation": True, "seen": True}
    if not wanted.queue:
        absent["queue"] = True
    if form := wanted.form:
        absent["form"] = {name for name in ("step", "field", "error") if getattr(form, name) is None}
    return wanted.model_dump_json(exclude=absent)


@dataclass(frozen=True)
class Source:
    """Where a press comes from: the key of its address, and its `Origin` ("" without one)."""

    address: str
    origin: str = ""

    @classmethod
    def of(cls, request: Request, settings: Settings) -> Source:
        """Return where this request comes from."""
        return cls(address_of(request, settings), request.headers.get("origin", "").lower())
