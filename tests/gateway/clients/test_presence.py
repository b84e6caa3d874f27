"""`services/gateway/clients/presence.py`: a session is none only when presence says so."""

import pytest

from services.common.http import problems
from services.common.internal_api import presence as presence_api
from services.gateway.clients.http_client import Unavailable
from tests.gateway.clients.serving import answering, asking

pytestmark = pytest.mark.usefixtures("patience")


async def test_a_session_is_none_only_when_presence_says_so() -> None:
    gone = answering(presence_api.SESSION_LOOKUP, 401, b'{"code":"unauthenticated"}', problems.MEDIA_TYPE)
    async with asking(gone) as clients:
        assert await clients.presence.session("token") is None
    odd = answering(presence_api.SESSION_LOOKUP, 422, b'{"code":"invalid"}', problems.MEDIA_TYPE)
    async with asking(odd) as clients:
        with pytest.raises(Unavailable):
            await clients.presence.session("token")
