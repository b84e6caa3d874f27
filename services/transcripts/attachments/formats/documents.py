"""Documents that are archives: Office Open XML or OpenDocument, and the documents embedded in them."""

from __future__ import annotations

from services.transcripts.attachments.formats import office, opendocument
from services.transcripts.attachments.formats.archives import MAX_NESTED, Archive, BadArchive, Budget, Member, TooMuch
from services.transcripts.attachments.kinds import Finding, Kind, Reason, Refused

MAX_DEPTH = 3  # of documents in documents


def inspect(content: bytes) -> tuple[Kind, set[Finding]]:
    """Return the type of the document in this archive, and what was found in it.

    Raises:
        Refused: The archive is no document, is damaged, or is a document type made for macros.
    """
    try:
        found = _inspect(Archive(content, Budget()), 0)
    except BadArchive as error:
        raise Refused(Reason.NOT_ALLOWED, f"archive: {error}") from error
    if found and found[0] is None and Finding.MACROS in found[1]:
        raise Refused(Reason.MACROS, "a type of document that is made for macros")
    if found is None or found[0] is None:
        raise Refused(Reason.NOT_ALLOWED, "archive that is no document")
    return found[0], found[1]


def _inspect(archive: Archive, depth: int) -> tuple[Kind | None, set[Finding]] | None:
    """Return the type of a document (None: not an allowed one), and what was found in it. None: it is no document.

    Raises:
        BadArchive: The archive is damaged, or exceeds a bound.
        Refused: The document is not accepted, whatever the policy says.
    """

    def nested(outer: Archive, member: Member) -> set[Finding]:
        """Return what is in an embedded document. An archive that is no document counts as a program."""
        if depth >= MAX_DEPTH:
            raise BadArchive("documents in documents")
        try:
            inner = Archive(outer.read(member, MAX_NESTED), outer.budget)
        except TooMuch:
            raise
        except BadArchive:
            return {Finding.PROGRAMS}
        found = _inspect(inner, depth + 1)
        return {Finding.PROGRAMS} if found is None else found[1]

    is_package = office.is_package(archive)
    if not is_package and not opendocument.is_opendocument(archive):
        return None
    if archive.is_encrypted:
        raise Refused(Reason.PASSWORD, "encrypted members")
    return office.inspect(archive, nested) if is_package else opendocument.inspect(archive, nested)
