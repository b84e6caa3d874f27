"""What the random run reads in the log of the gateways."""

import json

from deploy.local.log_format import readable
from tests.system.soak.random_load import refused_when_green


def line(**values: object) -> str:
    return readable("gateway-1", json.dumps({"level": "info", **values}), colour=False)


def test_a_press_that_was_refused_on_green_is_found_in_the_log_of_the_runner() -> None:
    log = [
        line(event="chat_opened", department="algemeen"),
        line(event="press_refused", department="algemeen", reason="busy", green=True, chat_id="1"),
        line(event="press_refused", green=True, chat_id="2", reason="no_agents"),
        line(event="press_refused", department="algemeen", reason="busy", green=False),
    ]
    assert refused_when_green("\n".join(log)) == ["busy", "no_agents"]
