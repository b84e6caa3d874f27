"""`services/gateway/participants/sessions.py`: the sessions of each participant, at most five."""

from services.gateway.participants.sessions import PER_PARTICIPANT, Registry
from tests.gateway.making import AN, BERT, agent, citizen


def test_the_first_and_the_last_connection_of_a_participant_are_reported() -> None:
    agents = Registry().agents
    one, two = agent(AN), agent(AN)
    assert agents.join(one)
    assert not agents.join(two)
    assert not agents.join(two), "a repeated hello"
    assert agents.join(agent(BERT))
    assert agents.of(AN) == [one, two]
    assert not agents.leave(one)
    assert agents.leave(two)
    assert not agents.leave(two)
    assert agents.of(AN) == []
    assert [session.participant for session in agents] == [BERT]
    assert (AN in agents, BERT in agents, len(agents)) == (False, True, 1)


def test_the_oldest_of_six_gives_way() -> None:
    citizens, six = Registry().citizens, [citizen() for _ in range(PER_PARTICIPANT + 1)]
    for session in six[:-1]:
        citizens.join(session)
    assert all(s.connection.closing is None for s in six)
    citizens.join(six[-1])
    assert six[0].connection.closing == (4409, "more than five connections")
    assert all(s.connection.closing is None for s in six[1:])
    citizens.leave(six[0])
    seventh = citizen()
    citizens.join(seventh)
    assert [s.connection.closing is not None for s in (*six, seventh)] == [True, True, *[False] * 5]


def test_citizens_and_agents_are_distinguished() -> None:
    registry, one, two = Registry(), citizen(), agent()
    registry.citizens.join(one)
    registry.agents.join(two)
    assert list(registry.citizens) == [one]
    assert list(registry.agents) == [two]
    assert list(registry) == [one, two]
    assert one.participant.startswith("citizen/")
