"""What transcripts does of a change of the departments: the entry in the access log, and the look at integrations."""

from typing import Any, get_args

import pytest

from services.common.internal_api import transcripts as transcripts_api
from services.common.internal_api.configuration import CONFIGURATION_NAMES
from tests.transcripts.api.client import ApiClient
from tests.transcripts.api.test_access_log import entries

ADMINISTRATOR = {"agent_id": "beheer", "role": "administrator", "source": "192.0.2.7"}


@pytest.mark.parametrize("act", ["departments_changed", "departments_imported", "departments_restored"])
async def test_the_log_says_who_changed_the_departments_and_from_which_version_to_which(
    api: ApiClient, act: str
) -> None:
    note: dict[str, Any] = {"act": act, "reader": ADMINISTRATOR, "item": "3:4", "departments": ["algemeen"]}
    assert (await api.ask(transcripts_api.ACCESS_NOTE, note))[0] == 204
    (logged,) = [entry for entry in await entries(api) if entry["act"] == act]
    expected = {"who": "beheer", "role": "administrator", "item": "3:4", "department": "algemeen"}
    assert {**expected, "source": "192.0.2.7"}.items() <= logged.items()


async def test_nobody_else_is_believed_to_have_changed_them(api: ApiClient) -> None:
    for reader in ({"agent_id": "sofie", "supervisor": True}, {"agent_id": "audra", "role": "auditor"}):
        note = {"act": "departments_changed", "reader": reader, "item": "3:4"}
        status, problem = await api.ask(transcripts_api.ACCESS_NOTE, note)
        assert (status, problem["code"]) == (403, "forbidden")
    assert not [entry for entry in await entries(api) if entry["act"].startswith("departments")]


async def test_any_departments_fit_where_there_are_no_integrations(api: ApiClient) -> None:
    assert (await api.ask(CONFIGURATION_NAMES, {"departments": ["wonen"]}))[0] == 204


@pytest.mark.parametrize("act", get_args(transcripts_api.ChangeOfAccount))
async def test_the_log_says_who_changed_which_fields_of_which_account(api: ApiClient, act: str) -> None:
    note: dict[str, Any] = {"act": act, "reader": ADMINISTRATOR, "item": "an: name, role"}
    assert (await api.ask(transcripts_api.ACCESS_NOTE, note))[0] == 204
    supervisor = {"agent_id": "sofie", "supervisor": True}
    assert (await api.ask(transcripts_api.ACCESS_NOTE, {**note, "reader": supervisor}))[0] == 403
    (logged,) = [entry for entry in await entries(api) if entry["act"] == act]
    assert {"who": "beheer", "role": "administrator", "item": "an: name, role"}.items() <= logged.items()
