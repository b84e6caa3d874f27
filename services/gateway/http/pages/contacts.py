"""RULES of contact ways: their links, as pages and the public API give them. No I/O."""

from __future__ import annotations

import re
from collections.abc import Iterable
from urllib.parse import urlsplit

from services.common.config.departments import Contact, Department

ContactRow = tuple[str, str, str | None, str | None]
"""Kind, value, link and note of a contact way, for `contacts.html`."""


def contact_rows(contacts: Iterable[Contact], locale: str) -> list[ContactRow]:
    """Return what `contacts.html` needs of these contact ways, in this language."""
    return [(c.kind, c.value, contact_address(c), c.note.in_(locale) if c.note else None) for c in contacts]


def contact_address(contact: Contact) -> str | None:
    """Return the link of a contact, or None when it is text only. A web page must be http or https."""
    if contact.kind == "phone":
        digits = re.sub(r"[^\d+]", "", contact.value)
        return f"tel:{digits}" if digits else None
    if contact.kind == "email":
        return f"mailto:{contact.value}" if re.fullmatch(r"[^\s@?&]+@[^\s@?&]+", contact.value) else None
    if contact.kind == "web":
        parts = urlsplit(contact.value)
        return contact.value if parts.scheme in ("http", "https") and parts.netloc else None
    return None


def contact_ways(department: Department) -> list[dict[str, str]]:
    """Return the contact ways without their notes, as `GET /api/button` has them: `kind`, `value`, `href`."""
    ways = []
    for contact in department.contacts:
        address = contact_address(contact)
        ways.append({"kind": contact.kind, "value": contact.value, **({"href": address} if address else {})})
    return ways
