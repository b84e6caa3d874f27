"""`services/gateway/chats/event_queue.py`: which frames an event becomes, for whom, and in which order."""

from typing import Any, TypeVar

import pytest

from services.common.config.departments import load_departments
from services.common.events.agents import AgentChanged, ButtonChanged, SessionEnded
from services.common.events.chats import QueueChanged
from services.common.events.event import Event
from services.common.events.messages import CitizenPresence, NoteStored, ReadShown, TypingShown
from services.common.events.types import (
    About,
    AgentState,
    ButtonColour,
    ButtonReason,
    Cause,
    ChatStatus,
    CloseReason,
    Detail,
    Note,
    Party,
)
from services.common.messaging.publisher import Publisher
from services.gateway.background_tasks import Tasks
from services.gateway.button_state import Buttons
from services.gateway.chats.bindings import Bindings
from services.gateway.chats.chat import LiveChat
from services.gateway.chats.event_queue import EventRouter
from services.gateway.chats.live_chats import LiveChats
from services.gateway.chats.subscriptions import Subscriptions
from services.gateway.clients.http_client import HttpClient
from services.gateway.clients.presence import PresenceClient
from services.gateway.clients.routing import RoutingClient
from services.gateway.clients.transcripts import TranscriptsClient
from services.gateway.identifying_numbers import NumberRules
from services.gateway.jobs.resync import Resync
from services.gateway.participants.agent import AgentHandler
from services.gateway.participants.citizen import CitizenHandler
from services.gateway.participants.own_departments import OwnDepartments
from services.gateway.participants.sessions import AgentSession, CitizenSession, Registry, Session
from services.gateway.participants.transfers import Transfers
from services.gateway.participants.written_numbers import WrittenNumbers
from services.gateway.sending.send_queue import Outcome, Receipt
from services.gateway.sending.sender import MessageSender
from services.gateway.settings import Settings
from services.gateway.supervision.live import Live
from services.gateway.websocket.message_limits import MessageLimits
from tests.gateway.making import AN, BERT, CHAT, NOW, OTHER, agent, citizen, entry, id_of, seal, sent, state, stored
from tests.gateway.standing import KEYS, SECRET

WAITING, ASSIGNED, CLOSED = ChatStatus.WAITING, ChatStatus.ASSIGNED, ChatStatus.CLOSED


SETTINGS = Settings(token_secret=SECRET)
Asked = list[tuple[str, object]]
S = TypeVar("S", bound=Session)


class RecordedChats(LiveChats):
    asked: Asked

    def drop(self, session: AgentSession, chat: LiveChat) -> None:
        self.asked.append(("dropped", session.participant))
        self.detach(session, chat)


class RecordedSubscriptions(Subscriptions):
    asked: Asked

    def gap(self, chat: LiveChat) -> None:
        self.asked.append(("gap", chat.chat_id))


class RecordedCitizenHandler(CitizenHandler):
    asked: Asked

    def answer_presence(self, chat: LiveChat) -> None:
        self.asked.append(("presence", chat.chat_id))


class RecordedAgentHandler(AgentHandler):
    asked: Asked

    def assigned(self, agent_id: str, chat_id: str) -> None:
        self.asked.append(("assigned", (agent_id, chat_id)))


class RecordedButtons(Buttons):
    asked: Asked

    def handle(self, event: ButtonChanged) -> None:
        self.asked.append(("button", event))


class Stage:
    """A router without a broker, and what it asked of others beyond frames."""

    def __init__(self) -> None:
        self.asked: Asked = []
        self.now = 1_000.0
        unlimited, departments = MessageLimits(limited=False), load_departments(SETTINGS.departments_file)
        self.registry = Registry()
        self.chats = RecordedChats("here", self.registry, Bindings(), unlimited, clock=lambda: self.now)
        tasks, publisher = Tasks(), Publisher("amqp://nowhere.invalid/", "gateway")
        http = HttpClient(SETTINGS, KEYS)
        presence, routing = PresenceClient(http), RoutingClient(http)
        following = RecordedSubscriptions(self.chats, routing, TranscriptsClient(http), tasks)
        sender = MessageSender(self.chats, publisher, tasks)
        numbers = WrittenNumbers(self.chats, NumberRules(departments))
        citizens = RecordedCitizenHandler(following, sender, publisher, KEYS, tasks, numbers, departments)
        transfers = Transfers(publisher, presence, routing, departments)
        buttons = RecordedButtons(departments, lambda: True)
        live = Live(self.chats.bindings, buttons, presence, routing, TranscriptsClient(http), departments, tasks)
        own = OwnDepartments(buttons, presence, tasks)
        agents = RecordedAgentHandler(
            following, sender, publisher, transfers, tasks, numbers, presence, routing, live, own, departments
        )
        self.chats.asked = following.asked = citizens.asked = agents.asked = buttons.asked = self.asked
        resync = Resync(following, agents, buttons, presence, routing)
        self.router = EventRouter(following, citizens, agents, buttons, resync, live, own)
        self.chat = self.chats.by_id[CHAT] = LiveChat(CHAT)
        self.chat.cursor.begin(0)

    def join(self, session: S, shown: int = 0) -> S:
        """The session follows the chat live."""
        if isinstance(session, CitizenSession):
            self.registry.citizens.join(session)
        elif isinstance(session, AgentSession):
            self.registry.agents.join(session)
        self.chats.attach(session, self.chat, shown)
        if isinstance(session, AgentSession):
            self.chats.of_agents.setdefault(session.agent.id, set()).add(CHAT)
        return session

    def receive(self, *events: Event) -> None:
        for event in events:
            self.router.handle(event)


@pytest.fixture
def stage() -> Stage:
    return Stage()


def seqs(session: Session) -> list[int]:
    return [f["seq"] for f in sent(session) if f["type"] == "message"]


def test_entries_reach_everyone_once_in_order(stage: Stage) -> None:
    one, two, other = stage.join(citizen()), stage.join(citizen()), stage.join(agent())
    stage.receive(*(stored(entry(n)) for n in (2, 1, 1, 3, 2)))
    assert seqs(one) == seqs(two) == [1, 2, 3]
    assert [(f["chat_id"], f["seq"]) for f in sent(other)] == [(CHAT, 1), (CHAT, 2), (CHAT, 3)]
    assert stage.asked == [("gap", CHAT)], "asked for while 1 was missing"


def test_a_connection_that_was_shown_more_gets_only_what_is_beyond(stage: Stage) -> None:
    late = stage.join(citizen(), shown=2)
    stage.receive(*(stored(entry(n)) for n in (1, 2, 3)))
    assert seqs(late) == [3]
    assert late.shown == {CHAT: 3}


def test_a_connection_that_has_a_hole_is_shown_nothing_across_it(stage: Stage) -> None:
    behind = stage.join(citizen(), shown=0)
    stage.chat.cursor.last = 4
    stage.receive(stored(entry(5)))
    assert seqs(behind) == []


def test_events_of_chats_that_are_not_served_here_are_ignored(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(stored(entry(1, OTHER)), state(1, WAITING, chat_id=OTHER))
    stage.receive(TypingShown(chat_id=OTHER, party=Party.AGENT, sender_id=AN, active=True))
    stage.receive(CitizenPresence(chat_id=OTHER, incarnation="there", online=True, asked=True))
    assert sent(one) == []
    assert stage.asked == []


def test_the_seal_ends_the_chat_for_everyone(stage: Stage) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    outcomes: list[Outcome] = []
    stage.chats.receipts.wait(CHAT, "", None, outcomes.append)
    stage.receive(stored(seal(1, CloseReason.AGENT)))
    assert [f["type"] for f in sent(one)] == ["message", "closed"]
    assert one.connection.closing == (1000, "agent")
    frames = sent(console)
    assert [f["type"] for f in frames] == ["message", "closed"]
    assert frames[1] == {"type": "closed", "chat_id": CHAT, "reason": "agent"}
    assert list(console.ended) == [CHAT]
    assert console.connection.closing is None
    assert stage.chats.of_agents == {AN: set()}
    assert [type(o) for o in outcomes] == [Receipt], "whoever asked for the end has it"
    assert ("dropped", AN) in stage.asked


def test_the_dot_follows_the_newest_state_and_older_ones_are_dropped(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(state(1, WAITING), state(3, ASSIGNED, AN), state(2, WAITING), state(3, ASSIGNED, BERT))
    shown = [(f["dot"], (f["agent"] or {}).get("name")) for f in sent(one)]
    assert shown == [("grey", None), ("green", "An")]
    stage.receive(state(4, ASSIGNED, AN, cause=Cause.TRANSFERRED))
    assert sent(one) == [], "nothing that the citizen sees has changed"


def test_the_dot_is_grey_until_an_agent_has_accepted(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(state(1, WAITING), state(2, ASSIGNED, AN, accepted=False), state(2, ASSIGNED, AN))
    first, offered = sent(one)
    assert "assigned" not in first
    assert offered == {
        "type": "status",
        "dot": "grey",
        "position": None,
        "wait": None,
        "agent": None,
        "assigned": True,
    }
    stage.receive(state(3, ASSIGNED, AN, accepted=True), state(3, ASSIGNED, AN, accepted=True), state(2, ASSIGNED, AN))
    (connected,) = sent(one)
    assert (connected["dot"], connected["agent"], "assigned" in connected) == ("green", {"name": "An"}, False)


def test_an_acceptance_is_learnt_from_a_state_of_the_same_version_too(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(state(2, ASSIGNED, AN, accepted=False), state(2, ASSIGNED, AN, accepted=True))
    stage.receive(state(2, ASSIGNED, AN, accepted=False))
    assert [f["dot"] for f in sent(one)] == ["grey", "green"]


def test_the_dot_is_green_before_it_is_read_that_one_is_connected(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(state(2, ASSIGNED, AN, accepted=False))
    about = About(turn=1, agent_id=AN, agent="An")
    line = entry(1, party=Party.SYSTEM, sender_id="system", event=Cause.ASSIGNED, about=about)
    stage.receive(stored(line), state(3, ASSIGNED, AN, accepted=True))
    assert [f.get("dot") or f["type"] for f in sent(one)] == ["grey", "green", "message"]
    assert stage.chat.introduced == 1


def test_agents_see_what_a_system_message_is_about(stage: Stage) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    about = About(turn=1, agent_id=AN, agent="An", department="algemeen")
    stage.receive(stored(entry(1, party=Party.SYSTEM, sender_id="system", event=Cause.AGENT_LEFT, about=about)))
    stage.receive(stored(seal(2, CloseReason.CITIZEN)))
    assert [f.get("about") for f in sent(console)[:2]] == [
        {"agent_id": AN, "agent": "An", "department": "algemeen"},
        {"reason": "citizen"},
    ]
    assert not [f for f in sent(one) if "about" in f]


def test_an_agent_who_lost_the_chat_gets_the_reason(stage: Stage) -> None:
    an, bert = stage.join(agent(AN)), stage.join(agent(BERT))
    stage.chats.of_agents[BERT] = set()
    stage.receive(state(2, ASSIGNED, AN))
    assert sent(an) == []
    stage.receive(state(3, ASSIGNED, BERT, cause=Cause.TRANSFERRED, former_agent_id=AN))
    assert sent(an) == [{"type": "unassigned", "chat_id": CHAT, "reason": "transferred"}]
    assert ("dropped", AN) in stage.asked
    assert ("assigned", (BERT, CHAT)) in stage.asked
    assert sent(bert) == []
    assert an not in stage.chat.members
    stage.chats.of_agents[BERT].add(CHAT)
    stage.receive(state(4, WAITING, cause=Cause.AGENT_LEFT))
    assert sent(bert) == [{"type": "unassigned", "chat_id": CHAT, "reason": "agent_left"}]


@pytest.mark.parametrize(
    ("cause", "detail", "reason"),
    [
        (Cause.AGENT_LEFT, Detail.NOT_ACCEPTED, "not_accepted"),
        (Cause.TRANSFERRED, Detail.REFUSED, "refused"),
        (Cause.TRANSFERRED, Detail.UNANSWERED, "not_accepted"),
        (Cause.TRANSFERRED, Detail.OVERFLOW, "transferred"),
    ],
)
def test_an_agent_gets_the_detail_of_the_loss(stage: Stage, cause: Cause, detail: Detail, reason: str) -> None:
    an = stage.join(agent(AN))
    stage.receive(state(2, ASSIGNED, AN), state(3, WAITING, cause=cause, detail=detail, former_agent_id=AN))
    assert sent(an) == [{"type": "unassigned", "chat_id": CHAT, "reason": reason}]


def test_a_closed_state_takes_nothing_back_before_the_seal_was_shown(stage: Stage) -> None:
    console = stage.join(agent())
    stage.receive(state(2, ASSIGNED, AN), state(3, CLOSED, AN, reason=CloseReason.CITIZEN))
    assert sent(console) == []
    assert stage.chats.of_agents == {AN: {CHAT}}


def test_a_citizen_is_shown_everything_before_their_socket_closes(stage: Stage) -> None:
    """Routing has closed the chat; what was stored before the seal is still on its way."""
    one = stage.join(citizen())
    stage.receive(state(2, ASSIGNED, AN), state(3, CLOSED, AN, reason=CloseReason.AGENT))
    assert one.connection.closing is None
    assert "closed" not in [f["type"] for f in sent(one)]
    stage.receive(stored(entry(1, party="agent", sender_id=AN)), stored(seal(2, CloseReason.AGENT)))
    assert [f["type"] for f in sent(one)] == ["message", "message", "closed"]
    assert one.connection.closing == (1000, "agent")


def test_a_chat_comes_to_an_agent_who_is_connected_here_once(stage: Stage) -> None:
    stage.receive(state(2, ASSIGNED, BERT))
    assert stage.asked == []
    bert = agent(BERT)
    stage.registry.agents.join(bert)
    stage.receive(state(2, ASSIGNED, BERT))
    assert stage.asked == [("assigned", (BERT, CHAT))]
    bert.follow(CHAT)
    stage.receive(state(2, ASSIGNED, BERT))
    assert len(stage.asked) == 1


def test_positions_are_sent_to_those_who_wait(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(state(1, WAITING))
    sent(one)
    stage.receive(QueueChanged(department="algemeen", revision=5, order=[OTHER, CHAT]))
    stage.receive(QueueChanged(department="algemeen", revision=4, order=[CHAT]))
    stage.receive(QueueChanged(department="algemeen", revision=5, order=[CHAT]))
    assert [f["position"] for f in sent(one)] == [2]
    stage.receive(QueueChanged(department="algemeen", revision=6, order=[CHAT, OTHER]))
    assert [f["position"] for f in sent(one)] == [1]
    stage.receive(state(2, ASSIGNED, AN), QueueChanged(department="algemeen", revision=7, order=[OTHER, CHAT]))
    assert [f["position"] for f in sent(one)] == [None]
    stage.receive(state(3, WAITING, cause=Cause.AGENT_LEFT))
    assert [f["position"] for f in sent(one)] == [2], "what was told of the queue before is known"


def test_the_wait_is_sent_with_the_position_and_again_when_its_minutes_change(stage: Stage) -> None:
    one = stage.join(citizen())
    stage.receive(QueueChanged(department="algemeen", revision=5, order=[OTHER, CHAT], pace=61.0))
    stage.receive(state(1, WAITING))
    assert [(f["position"], f["wait"]) for f in sent(one)] == [(2, 122)]
    stage.receive(QueueChanged(department="algemeen", revision=6, order=[OTHER, CHAT], pace=75.25))
    assert sent(one) == [], "still three minutes"
    stage.receive(QueueChanged(department="algemeen", revision=7, order=[OTHER, CHAT], pace=91.0))
    stage.receive(QueueChanged(department="algemeen", revision=8, order=[OTHER, CHAT]))
    stage.receive(QueueChanged(department="algemeen", revision=9, order=[CHAT], pace=0.0))
    stage.receive(state(2, ASSIGNED, AN))
    assert [(f["position"], f["wait"]) for f in sent(one)] == [(2, 182), (2, None), (1, 0), (None, None)]


def test_typing_and_reading_go_to_the_other_party_alone(stage: Stage) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    stage.receive(TypingShown(chat_id=CHAT, party=Party.CITIZEN, sender_id="citizen", active=True))
    assert sent(console) == [{"type": "typing", "chat_id": CHAT, "from": "citizen", "active": True}]
    assert sent(one) == []
    stage.receive(*(ReadShown(chat_id=CHAT, party=Party.AGENT, sender_id=AN, seq=seq) for seq in (7, 5)))
    assert sent(one) == [{"type": "read", "from": "agent", "seq": 7}] * 2, "never backwards"
    assert sent(console) == []


def test_a_note_is_never_for_the_citizen(stage: Stage) -> None:
    one, console = stage.join(citizen()), stage.join(agent())
    outcomes: list[Outcome] = []
    stage.chats.receipts.wait(CHAT, AN, id_of(1), outcomes.append)
    written = Note(chat_id=CHAT, id=id_of(1), agent_id=AN, name="An", text="intern", at=NOW)
    stage.receive(NoteStored(chat_id=CHAT, note=written))
    assert sent(one) == []
    assert [f["text"] for f in sent(console)] == ["intern"]
    assert outcomes == [Receipt(None)]


def test_the_citizen_is_online_while_any_gateway_has_them(stage: Stage) -> None:
    console = stage.join(agent())

    def presence_frames(gateway: str, online: bool) -> list[dict[str, Any]]:
        stage.receive(CitizenPresence(chat_id=CHAT, incarnation=gateway, online=online))
        return sent(console)

    assert presence_frames("a", True) == [{"type": "citizen", "chat_id": CHAT, "online": True}]
    assert presence_frames("b", True) == presence_frames("a", False) == []
    assert presence_frames("b", False) == [{"type": "citizen", "chat_id": CHAT, "online": False}]


def test_another_gateways_question_is_answered_and_an_own_one_is_not(stage: Stage) -> None:
    stage.receive(CitizenPresence(chat_id=CHAT, incarnation="here", online=False, asked=True))
    assert stage.asked == []
    stage.receive(CitizenPresence(chat_id=CHAT, incarnation="there", online=False, asked=True))
    assert stage.asked == [("presence", CHAT)]


def test_a_session_that_ended_closes_its_own_connections(stage: Stage) -> None:
    ended, other = stage.join(agent(session_id="one")), stage.join(agent(session_id="two"))
    stage.receive(SessionEnded(agent_id=AN, session_id="one"))
    assert ended.connection.closing is not None
    assert ended.connection.closing[0] == 4401
    assert other.connection.closing is None


def test_an_agents_state_goes_to_all_their_connections_once(stage: Stage) -> None:
    one, two = stage.join(agent()), stage.join(agent())
    for v in (3, 2, 3):
        stage.receive(AgentChanged(agent_id=AN, v=v, online=True, state=AgentState.PAUSED, cause="request"))
    stage.receive(AgentChanged(agent_id=BERT, v=9, online=True, state=AgentState.PAUSED, cause="request"))
    assert sent(one) == sent(two) == [{"type": "state", "state": "paused", "reason": "request"}]


def test_the_buttons_event_is_passed_on(stage: Stage) -> None:
    event = ButtonChanged(department="algemeen", colour=ButtonColour.GREEN, reason=ButtonReason.AVAILABLE, revision=1)
    stage.receive(event)
    assert stage.asked == [("button", event)]


# ── receipts ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def test_a_receipt_comes_once_and_a_repeat_says_so(stage: Stage) -> None:
    outcomes: list[Outcome] = []
    for _ in range(2):
        stage.chats.receipts.wait(CHAT, "citizen", id_of(1), outcomes.append)
        stage.receive(stored(entry(1)), stored(entry(1)))
    assert outcomes == [Receipt(entry(1)), Receipt(entry(1), repeated=True)]
    assert not stage.chats.receipts


def test_a_repeated_id_is_shown_to_no_participant_by_itself(stage: Stage) -> None:
    one, two = stage.join(citizen()), stage.join(citizen())
    stage.receive(stored(entry(1)))
    assert seqs(one) == seqs(two) == [1]
    stage.receive(stored(entry(1)))
    assert seqs(one) == seqs(two) == [], "only who asks again is answered, by his own line"


def test_the_receipt_is_for_the_sender_of_that_id_alone(stage: Stage) -> None:
    outcomes: list[Outcome] = []
    stage.chats.receipts.wait(CHAT, AN, id_of(1), outcomes.append)
    stage.chats.receipts.wait(OTHER, "citizen", id_of(1), outcomes.append)
    stage.receive(stored(entry(1)))
    assert outcomes == []
