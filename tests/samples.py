"""One sample of every fact: the object that its golden file in `tests/golden/` must decode to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from services import contracts as c
from services.contracts import AnyFact, Fact

GOLDEN = Path(__file__).parent / "golden"
CHAT, OTHER_CHAT = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23", "c0ffee00-1111-4222-8333-444455556666"
AN, BERT = "agent-an", "agent-bert"
GATEWAY = "3f1d7a52-8f4c-4a3e-b1de-6f0c2d9a7b11"
FACT_TYPES: dict[str, type[Fact]] = {kind.model_fields["type"].default: kind for kind in get_args(get_args(AnyFact)[0])}


def golden(type_: str) -> bytes:
    """The golden sample of this fact type, as it stands in the repository."""
    return (GOLDEN / f"{type_}.json").read_bytes()


def _at(hour: int, minute: int = 0, second: int = 0, microsecond: int = 0, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, microsecond, tzinfo=UTC)


def _together() -> list[Fact]:
    """Several in one broker message; what stands alone elsewhere, and a neighbour."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    file = "66666666-7777-4888-8999-aaaaaaaaaaaa"
    first, said = "11111111-2222-4333-8444-555555555555", _at(8, 0, 0, 123_000)

    def told(number: str) -> dict[str, Any]:
        return {"event_id": f"7d3e{number}-52a1-4c0b-8f6e-9a1b2c3d4e5f", "occurred_at": said}

    citizen = c.Sender(party=c.Party.CITIZEN, id="citizen", name="An Peeters")
    question = "Goedemorgen,\nik heb een vraag over <b>artikel 3</b>."
    attest = c.Attachment(id=file, name="attest één.pdf", size=183_204, content_type="application/pdf")
    agent = {"party": c.Party.AGENT, "name": "An"}
    return [
        c.MessagesPosted(
            **told("0031"),
            posted=[
                c.MessagePosted(**told("0012"), chat_id=CHAT, id=first, sender=citizen, text=question),
                c.MessagePosted(
                    **told("0112"),
                    chat_id=CHAT,
                    id=f"{first[:-1]}7",
                    sender=c.Sender(id=AN, **agent),
                    attachment_id=file,
                ),
            ],
            traces=[trace, trace.replace("736-", "737-")],
        ),
        c.MessagesStored(
            **told("0032"),
            chat_id=CHAT,
            entries=[
                c.Entry(
                    chat_id=CHAT,
                    seq=7,
                    id=f"{first[:-1]}6",
                    sender_id=AN,
                    **agent,
                    attachment=attest,
                    at=_at(8, 2, 0, 789_000),
                ),
                c.Entry(
                    chat_id=f"{CHAT[:-1]}4",
                    seq=8,
                    id=first,
                    party=c.Party.CITIZEN,
                    sender_id="citizen",
                    name="An Peeters",
                    text="Dank u!",
                    at=_at(8, 2, 1),
                ),
            ],
        ),
    ]


def _facts() -> list[Fact]:
    number = iter(range(1, 100))

    def told() -> dict[str, Any]:
        return {
            "event_id": f"7d3e{next(number):04x}-52a1-4c0b-8f6e-9a1b2c3d4e5f",
            "occurred_at": _at(8, 0, 0, 123_000),
        }

    return [
        c.ChatOpened(
            **told(),
            chat_id=CHAT,
            department="algemeen",
            locale="nl",
            name="An Peeters",
            question="Tot wanneer kan ik de premie aanvragen? 🏠",
            form=c.Form(id="aanvraag-42", title="Aanvraag premie", url="https://loket.example.be/premie?stap=2"),
            opened_at=_at(8, 0, 0, 100_000),
        ),
        c.CitizenArrived(**told(), chat_id=CHAT),
        c.CloseRequested(**told(), chat_id=CHAT, by=c.CloseReason.AGENT, agent_id=AN),
        c.ChatAccepted(**told(), chat_id=CHAT, agent_id=AN),
        c.ChatState(
            **told(),
            chat_id=CHAT,
            v=4,
            state=c.ChatStatus.ASSIGNED,
            turn=2,
            department="algemeen",
            cause=c.Cause.TRANSFERRED,
            agent_id=BERT,
            agent_name="Bert Claes",
            former_agent_id=AN,
            at=_at(8, 4, 10, 500_000),
        ),
        c.QueueChanged(**told(), department="algemeen", revision=17, order=[CHAT, OTHER_CHAT]),
        c.PlaceWanted(**told(), chat_id=CHAT, turn=2, department="algemeen", locale="fr", agent_id=BERT),
        c.PlaceClaimed(**told(), chat_id=CHAT, turn=2, agent_id=BERT, agent_name="Bert Claes"),
        c.PlaceReleased(**told(), chat_id=CHAT, turn=2, agent_id=BERT, reason=c.ReleaseReason.AGENT_GONE),
        c.PlacesChanged(**told(), department="algemeen", free=3, revision=1795420800123),
        c.AcceptOverdue(**told(), chat_id=CHAT, turn=2, agent_id=BERT),
        c.StateRequested(**told(), agent_id=AN, state=c.AgentState.PAUSED),
        c.AgentChanged(**told(), agent_id=AN, v=9, online=True, state=c.AgentState.PAUSED, cause="request"),
        c.SessionEnded(**told(), agent_id=AN, session_id="5e0a7a1e-9f0b-4d55-8a6b-d1c2b3a49586"),
        c.ButtonChanged(
            **told(),
            department="algemeen",
            colour=c.ButtonColour.BLUE,
            reason=c.ButtonReason.CLOSED,
            opens_at=_at(8, day=24),
            revision=1795420800456,
        ),
        c.GatewayConnections(
            **told(),
            incarnation=GATEWAY,
            counter=31,
            agents=[c.AgentConnection(agent_id=AN, silent_for=0.25), c.AgentConnection(agent_id=BERT, silent_for=3.5)],
            chats=[CHAT],
        ),
        c.ListenerEcho(**told(), listener="presence-91c4", counter=12),
        c.MessagePosted(
            **told(),
            chat_id=CHAT,
            id="11111111-2222-4333-8444-555555555555",
            sender=c.Sender(party=c.Party.CITIZEN, id="citizen", name="An Peeters"),
            text="Goedemorgen,\nik heb een vraag over <b>artikel 3</b>.",
        ),
        c.MessageStored(
            **told(),
            chat_id=CHAT,
            entry=c.Entry(
                chat_id=CHAT,
                seq=7,
                id="11111111-2222-4333-8444-555555555556",
                party=c.Party.AGENT,
                sender_id=AN,
                name="An",
                attachment=c.Attachment(
                    id="66666666-7777-4888-8999-aaaaaaaaaaaa",
                    name="attest één.pdf",
                    size=183_204,
                    content_type="application/pdf",
                ),
                at=_at(8, 2, 0, 789_000),
            ),
        ),
        c.MessageRefused(
            **told(),
            chat_id=CHAT,
            id="11111111-2222-4333-8444-555555555557",
            sender_id="citizen",
            code=c.RefusalCode.CHAT_CLOSED,
        ),
        c.NotePosted(
            **told(),
            chat_id=CHAT,
            id="22222222-3333-4444-8555-666666666666",
            agent_id=AN,
            agent_name="An",
            text="Dossier loopt al sinds maart.",
        ),
        c.NoteStored(
            **told(),
            chat_id=CHAT,
            note=c.Note(
                chat_id=CHAT,
                id="22222222-3333-4444-8555-666666666666",
                agent_id=AN,
                name="An",
                text="Dossier loopt al sinds maart.",
                at=_at(8, 3),
            ),
        ),
        c.TypingShown(**told(), chat_id=CHAT, party=c.Party.AGENT, sender_id=AN, active=True),
        c.ReadShown(**told(), chat_id=CHAT, party=c.Party.CITIZEN, sender_id="citizen", seq=7),
        c.CitizenPresence(**told(), chat_id=CHAT, incarnation=GATEWAY, online=True),
        c.CitizenSilent(**told(), chat_id=CHAT, warning=2, since=_at(8, 5), closes_at=_at(8, 20)),
        c.CitizenStayed(**told(), chat_id=CHAT),
        c.TransferRefused(**told(), chat_id=CHAT, agent_id=BERT),
        *_together(),
    ]


FACTS: dict[str, Fact] = {fact.type: fact for fact in _facts()}
