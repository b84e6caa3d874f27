"""One sample of every event: the object that its golden file in `tests/golden/` must decode to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any, get_args

from services.common.events import agents, chats, configuration, identification, messages, places, presence, types
from services.common.events.codec import AnyEvent
from services.common.events.event import Event

GOLDEN = Path(__file__).parents[1] / "golden"
CHAT, OTHER_CHAT = "0b8f4d6e-3c1a-4f5e-9b7d-2a6c8e0f1a23", "c0ffee00-1111-4222-8333-444455556666"
AN, BERT = "agent-an", "agent-bert"
GATEWAY = "3f1d7a52-8f4c-4a3e-b1de-6f0c2d9a7b11"
EVENT_TYPES: dict[str, type[Event]] = {
    kind.model_fields["type"].default: kind for kind in get_args(get_args(AnyEvent)[0])
}


def golden(type_: str) -> bytes:
    """The golden sample of this event type, as it stands in the repository."""
    return (GOLDEN / f"{type_}.json").read_bytes()


def _at(hour: int, minute: int = 0, second: int = 0, microsecond: int = 0, day: int = 23) -> datetime:
    return datetime(2026, 11, day, hour, minute, second, microsecond, tzinfo=UTC)


def _of_the_configuration() -> list[Event]:
    said = _at(8, 0, 0, 123_000)
    return [
        configuration.ConfigurationVersion(
            event_id="7d3e0037-52a1-4c0b-8f6e-9a1b2c3d4e5f",
            occurred_at=said,
            version=13,
            text='default = "algemeen"\n# één afdeling\n',
        ),
        configuration.ConfigurationWanted(
            event_id="7d3e0038-52a1-4c0b-8f6e-9a1b2c3d4e5f", occurred_at=said, version=12
        ),
    ]


def _together() -> list[Event]:
    """Several in one broker message; what stands alone elsewhere, and a neighbour."""
    trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"
    file = "66666666-7777-4888-8999-aaaaaaaaaaaa"
    first, said = "11111111-2222-4333-8444-555555555555", _at(8, 0, 0, 123_000)

    def common_members(number: str) -> dict[str, Any]:
        return {"event_id": f"7d3e{number}-52a1-4c0b-8f6e-9a1b2c3d4e5f", "occurred_at": said}

    citizen = types.Sender(party=types.Party.CITIZEN, id="citizen", name="An Peeters")
    question = "Goedemorgen,\nik heb een vraag over <b>artikel 3</b>."
    attest = types.Attachment(id=file, name="attest één.pdf", size=183_204, content_type="application/pdf")
    agent: dict[str, Any] = {"party": types.Party.AGENT, "name": "An"}
    return [
        agents.WrapUpDone(**common_members("0033"), agent_id=AN, chat_id=CHAT),
        agents.WrapUpEnded(**common_members("0034"), chat_id=CHAT, department="algemeen", seconds=74),
        chats.AnswerOverdue(**common_members("0036"), chat_id=CHAT, turn=1, since=_at(7, 50), answered=4),
        identification.IdentificationAsked(
            **common_members("0037"), chat_id=CHAT, id=first, agent_id=AN, agent_name="An"
        ),
        identification.IdentificationDeclined(**common_members("0038"), chat_id=CHAT, id=first),
        identification.IdentificationEnded(
            **common_members("0039"),
            chat_id=CHAT,
            id=first,
            name="An Peeters",
            level=types.AssuranceLevel.HIGH,
            issuer="Toegangsbeheer Vlaanderen",
        ),
        agents.PauseEnded(
            **common_members("0035"),
            pause_id="33333333-4444-4555-8666-777777777777",
            agent_id=AN,
            departments=["algemeen", "premies"],
            reason="lunch",
            since=_at(7, 30),
            seconds=1_800,
        ),
        messages.MessagesPosted(
            **common_members("0031"),
            posted=[
                messages.MessagePosted(**common_members("0012"), chat_id=CHAT, id=first, sender=citizen, text=question),
                messages.MessagePosted(
                    **common_members("0112"),
                    chat_id=CHAT,
                    id=f"{first[:-1]}7",
                    sender=types.Sender(id=AN, **agent),
                    attachment_id=file,
                ),
            ],
            traces=[trace, trace.replace("736-", "737-")],
        ),
        messages.MessagesStored(
            **common_members("0032"),
            chat_id=CHAT,
            entries=[
                types.Entry(
                    chat_id=CHAT,
                    seq=7,
                    id=f"{first[:-1]}6",
                    sender_id=AN,
                    **agent,
                    attachment=attest,
                    at=_at(8, 2, 0, 789_000),
                ),
                types.Entry(
                    chat_id=f"{CHAT[:-1]}4",
                    seq=8,
                    id=first,
                    party=types.Party.CITIZEN,
                    sender_id="citizen",
                    name="An Peeters",
                    text="Dank u!",
                    at=_at(8, 2, 1),
                ),
            ],
        ),
    ]


def _events() -> list[Event]:
    number = iter(range(1, 100))

    def common_members() -> dict[str, Any]:
        return {
            "event_id": f"7d3e{next(number):04x}-52a1-4c0b-8f6e-9a1b2c3d4e5f",
            "occurred_at": _at(8, 0, 0, 123_000),
        }

    return [
        chats.ChatOpened(
            **common_members(),
            chat_id=CHAT,
            department="algemeen",
            locale="nl",
            name="An Peeters",
            question="Tot wanneer kan ik de premie aanvragen? 🏠",
            form=types.Form(id="aanvraag-42", title="Aanvraag premie", url="https://loket.example.be/premie?stap=2"),
            opened_at=_at(8, 0, 0, 100_000),
        ),
        chats.CitizenArrived(**common_members(), chat_id=CHAT),
        chats.CloseRequested(**common_members(), chat_id=CHAT, by=types.CloseReason.AGENT, agent_id=AN),
        chats.ChatAccepted(**common_members(), chat_id=CHAT, agent_id=AN),
        chats.ChatState(
            **common_members(),
            chat_id=CHAT,
            v=4,
            state=types.ChatStatus.ASSIGNED,
            turn=2,
            department="algemeen",
            cause=types.Cause.TRANSFERRED,
            agent_id=BERT,
            agent_name="Bert Claes",
            former_agent_id=AN,
            at=_at(8, 4, 10, 500_000),
        ),
        chats.QueueChanged(**common_members(), department="algemeen", revision=17, order=[CHAT, OTHER_CHAT]),
        places.PlaceWanted(**common_members(), chat_id=CHAT, turn=2, department="algemeen", locale="fr", agent_id=BERT),
        places.PlaceClaimed(**common_members(), chat_id=CHAT, turn=2, agent_id=BERT, agent_name="Bert Claes"),
        places.PlaceReleased(
            **common_members(), chat_id=CHAT, turn=2, agent_id=BERT, reason=types.ReleaseReason.AGENT_GONE
        ),
        places.PlacesChanged(**common_members(), department="algemeen", free=3, revision=1795420800123),
        chats.AcceptOverdue(**common_members(), chat_id=CHAT, turn=2, agent_id=BERT),
        agents.StateRequested(**common_members(), agent_id=AN, state=types.AgentState.PAUSED),
        agents.AgentChanged(
            **common_members(), agent_id=AN, v=9, online=True, state=types.AgentState.PAUSED, cause="request"
        ),
        agents.SessionEnded(**common_members(), agent_id=AN, session_id="5e0a7a1e-9f0b-4d55-8a6b-d1c2b3a49586"),
        agents.ButtonChanged(
            **common_members(),
            department="algemeen",
            colour=types.ButtonColour.BLUE,
            reason=types.ButtonReason.CLOSED,
            opens_at=_at(8, day=24),
            revision=1795420800456,
        ),
        presence.GatewayConnections(
            **common_members(),
            incarnation=GATEWAY,
            counter=31,
            agents=[
                types.AgentConnection(agent_id=AN, silent_for=0.25),
                types.AgentConnection(agent_id=BERT, silent_for=3.5),
            ],
            chats=[CHAT],
        ),
        presence.ListenerEcho(**common_members(), listener="presence-91c4", counter=12),
        messages.MessagePosted(
            **common_members(),
            chat_id=CHAT,
            id="11111111-2222-4333-8444-555555555555",
            sender=types.Sender(party=types.Party.CITIZEN, id="citizen", name="An Peeters"),
            text="Goedemorgen,\nik heb een vraag over <b>artikel 3</b>.",
        ),
        messages.MessageStored(
            **common_members(),
            chat_id=CHAT,
            entry=types.Entry(
                chat_id=CHAT,
                seq=7,
                id="11111111-2222-4333-8444-555555555556",
                party=types.Party.AGENT,
                sender_id=AN,
                name="An",
                attachment=types.Attachment(
                    id="66666666-7777-4888-8999-aaaaaaaaaaaa",
                    name="attest één.pdf",
                    size=183_204,
                    content_type="application/pdf",
                ),
                at=_at(8, 2, 0, 789_000),
            ),
        ),
        messages.MessageRefused(
            **common_members(),
            chat_id=CHAT,
            id="11111111-2222-4333-8444-555555555557",
            sender_id="citizen",
            code=types.RefusalCode.CHAT_CLOSED,
        ),
        messages.NotePosted(
            **common_members(),
            chat_id=CHAT,
            id="22222222-3333-4444-8555-666666666666",
            agent_id=AN,
            agent_name="An",
            text="Dossier loopt al sinds maart.",
        ),
        messages.NoteStored(
            **common_members(),
            chat_id=CHAT,
            note=types.Note(
                chat_id=CHAT,
                id="22222222-3333-4444-8555-666666666666",
                agent_id=AN,
                name="An",
                text="Dossier loopt al sinds maart.",
                at=_at(8, 3),
            ),
        ),
        messages.TypingShown(**common_members(), chat_id=CHAT, party=types.Party.AGENT, sender_id=AN, active=True),
        messages.ReadShown(**common_members(), chat_id=CHAT, party=types.Party.CITIZEN, sender_id="citizen", seq=7),
        messages.CitizenPresence(**common_members(), chat_id=CHAT, incarnation=GATEWAY, online=True),
        messages.CitizenSilent(**common_members(), chat_id=CHAT, warning=2, since=_at(8, 5), closes_at=_at(8, 20)),
        messages.CitizenStayed(**common_members(), chat_id=CHAT),
        chats.TransferRefused(**common_members(), chat_id=CHAT, agent_id=BERT),
        *_together(),
        *_of_the_configuration(),
    ]


EVENTS: dict[str, Event] = {event.type: event for event in _events()}
