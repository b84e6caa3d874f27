"""`services/gateway/participants/sessions.py`: what is remembered of a participant between two frames."""

from services.common.events.types import Party
from services.gateway.participants.sessions import ENDED, CitizenSession
from services.gateway.websocket.connection import Connection
from tests.gateway.making import AN, CHAT, OTHER, Paper, agent, citizen, entry, id_of


def test_only_the_next_entry_of_a_chat_that_is_live_is_sent() -> None:
    session = citizen()
    assert not session.advance(CHAT, 1), "the chat is not live here"
    session.begin_live(CHAT, 1)
    assert [session.advance(CHAT, seq) for seq in (1, 3, 2, 2, 3)] == [False, False, True, False, True]
    assert session.shown == {CHAT: 3}
    session.end_live(CHAT)
    assert not session.advance(CHAT, 4)


def test_a_citizens_session_is_bound_to_one_chat() -> None:
    session = CitizenSession(Connection(Party.CITIZEN, Paper()))
    assert not session.identified
    assert session.identify(CHAT)
    assert session.identify(CHAT)
    assert not session.identify(OTHER)
    assert (session.identified, session.chat_id, session.participant) == (True, CHAT, f"citizen/{CHAT}")


def test_own_entries_of_the_answer_to_a_hello_are_known_until_its_end() -> None:
    session = citizen()
    session.catch_up(entry(1))
    assert session.caught_up(CHAT, id_of(1)) is None, "no hello is being answered"
    session.begin_catch_up()
    session.catch_up(entry(1))
    session.catch_up(entry(2, party=Party.AGENT, sender_id=AN))
    assert session.caught_up(CHAT, id_of(1)) == entry(1)
    assert session.caught_up(CHAT, id_of(2)) is None
    session.end_catch_up()
    assert session.caught_up(CHAT, id_of(1)) is None


def test_an_acceptance_counts_as_published_only_while_the_chat_is_accepted() -> None:
    session = agent()
    session.note_acceptance(CHAT, 1)
    assert not session.acceptance_published(CHAT), "the chat was removed meanwhile"
    session.accept(CHAT, 2)
    session.note_acceptance(CHAT, 1)
    assert not session.acceptance_published(CHAT), "the confirm of an earlier attempt came late"
    session.note_acceptance(CHAT, 2)
    assert session.acceptance_published(CHAT)
    session.follow(CHAT)
    assert session.unfollow(CHAT)
    assert not session.unfollow(CHAT)
    assert not session.acceptance_published(CHAT)
    assert not session.accepted


def test_the_ended_chats_that_are_remembered_are_bounded() -> None:
    session = agent()
    for number in range(ENDED + 1):
        session.note_end(id_of(number))
    assert len(session.ended) == ENDED
    assert id_of(0) not in session.ended
