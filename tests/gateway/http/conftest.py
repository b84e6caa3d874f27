"""Fixtures of the routes that are for supervisors."""

from datetime import UTC, datetime, timedelta

import pytest

from services.common.internal_api import presence as presence_api
from tests.gateway.making import AN, agent_view
from tests.gateway.standing import World


@pytest.fixture
def supervisor(world: World) -> str:
    """The cookie of a supervisor of two departments."""
    token = world.others.log_in(AN)
    agent = agent_view(AN, supervisor=True, departments=["algemeen", "premies"])
    expires = datetime.now(UTC) + timedelta(hours=1)
    world.others.sessions[token] = presence_api.OpenSession(session_id="s", expires_at=expires, agent=agent)
    return f"eloket-agent={token}"
