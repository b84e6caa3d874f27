"""deploy/compose.yaml is what it must be, and each thing that it must be is seen to be missed."""

import copy
from collections.abc import Callable
from typing import Any

import pytest

from services.presence.configuration import Configuration
from services.presence.settings import PresenceSettings
from tests.deploy import compose

Plant = Callable[[dict[str, Any]], object]


def test_the_file_is_as_it_must_be() -> None:
    assert compose.problems(*compose.read()) == []


PLANTED: list[tuple[Plant, str]] = [
    (lambda s: s["routing"].update(container_name="x"), "container_name"),
    (lambda s: s["routing"]["build"].update(contexte=".."), "contexte"),
    (lambda s: s["routing"].pop("read_only"), "routing: read_only"),
    (lambda s: s["mongodb"].pop("cap_drop"), "mongodb: cap_drop"),
    (lambda s: s["rabbitmq"].update(security_opt=[]), "rabbitmq: security_opt"),
    (lambda s: s["gateway"].update(restart="no"), "gateway: restart"),
    (lambda s: s["presence"].update(user="0:0"), "presence: user"),
    (lambda s: s["presence"].update(user="root"), "presence: user"),
    (lambda s: s["presence"].update(logging={"driver": "local"}), "presence: logs grow"),
    (lambda s: s["transcripts"].pop("mem_limit"), "transcripts: no mem_limit"),
    (lambda s: s["transcripts"].pop("tmpfs"), "transcripts: no tmpfs"),
    (lambda s: s["mongodb"].pop("healthcheck"), "mongodb: no healthcheck"),
    (lambda s: s["routing"]["volumes"][0].update(read_only=False), "may be written to"),
    (lambda s: s["routing"]["volumes"][0].update(source="./places.toml"), "places.toml is no file"),
    (lambda s: s["routing"]["volumes"][0].update(target="/etc/other.toml"), "DEPARTMENTS_FILE is not mounted"),
    (lambda s: s["presence"]["volumes"].pop(1), "ACCOUNTS_FILE is not mounted"),
    (lambda s: s["presence"]["volumes"][1].update(source="${ACCOUNTS_FILE:?why}"), "${ACCOUNTS_FILE:?why} is no file"),
    (lambda s: s["mongodb"].update(image="mongo:latest"), "has no version"),
    (lambda s: s["mongodb"].update(image="mongo:8.0.1"), "mongodb: another version"),
    (lambda s: s["clamav"].update(image="clamav/clamav:1.4.0"), "clamav: another version"),
    (lambda s: s["rabbitmq"].update(image="rabbitmq:4.1.0"), "rabbitmq: another version"),
    (lambda s: s["routing"].update(image="eloket-chat/routing:1.0.0"), "image is not the Dockerfile's"),
    (lambda s: s["routing"]["build"]["args"].update(SERVICE="presence"), "built otherwise"),
    (lambda s: s["routing"]["environment"].update(ROUTING_MODE="x"), "nobody reads ROUTING_MODE"),
    (lambda s: s["routing"]["environment"].pop("MONGODB_URL"), "MONGODB_URL"),
    (lambda s: s["gateway"]["environment"].pop("TRUSTED_PROXIES"), "TRUSTED_PROXIES is not set"),
    (lambda s: s["gateway"]["environment"].update(TRUSTED_PROXIES="everybody"), "TRUSTED_PROXIES"),
    (lambda s: s["gateway"]["environment"].update(ROUTING_URL="http://routing:8001"), "ROUTING_URL is not"),
    (lambda s: s["gateway"].update(ports=["8000:8000"]), "gateway: ports"),
    (lambda s: s["routing"].update(ports=["127.0.0.1:8002:8002"]), "routing: ports"),
    (lambda s: s["rabbitmq"].update(ports=["5672:5672"]), "rabbitmq: published"),
    (lambda s: s["routing"].update(networks=["front", "back"]), "routing: has a way out"),
    (lambda s: s["routing"]["healthcheck"].update(test=["CMD", "true"]), "health check asks something else"),
    (lambda s: s["routing"].update(stop_grace_period="17s"), "killed before"),
    (lambda s: s["routing"]["environment"].update(TOKEN_SECRET="word" * 10), "TOKEN_SECRET stands in the file"),
    (lambda s: s["routing"]["environment"].update(TOKEN_SECRET="${TOKEN_SECRET}"), "TOKEN_SECRET may be empty"),
    (lambda s: s["routing"]["environment"].update(TOKEN_SECRET="${OTHER:?}"), "the example lacks OTHER"),
    (lambda s: s["mongodb"]["environment"].pop("MONGODB_KEY"), "nothing reads MONGODB_KEY"),
    (lambda s: s["mongodb"].update(command="mongod $HOME"), "a lone $"),
]


@pytest.mark.parametrize(("plant", "line"), PLANTED)
def test_what_is_wrong_is_said(plant: Plant, line: str) -> None:
    file, example = compose.read()
    file = copy.deepcopy({name: part for name, part in file.items() if not name.startswith("x-")})
    file["services"] = {name: copy.deepcopy(service) for name, service in file["services"].items()}
    plant(file["services"])
    assert [found for found in compose.problems(file, example) if line in found]


def test_an_example_with_a_value_or_a_name_too_many_is_said() -> None:
    file, example = compose.read()
    assert compose.problems(file, example.replace("\nTOKEN_SECRET=\n", "\nTOKEN_SECRET=word\n")) == [
        "the example holds a value: TOKEN_SECRET"
    ]
    assert compose.problems(file, example + "OTHER=\n") == ["nothing reads OTHER of the example"]


def test_presence_comes_up_without_an_accounts_file_where_the_accounts_are_in_the_database() -> None:
    file, example = compose.read()
    given = compose.environment(file["services"]["presence"], example, ACCOUNTS_FILE="")
    given |= {"CONFIG_SOURCE": "database", "DEPARTMENTS_FILE": str(compose.DEPLOY / "departments.toml")}
    settings = PresenceSettings.model_validate({name.lower(): value for name, value in given.items()})
    assert settings.accounts_file is None
    assert Configuration.first(settings).file.accounts == ()
    with_file = compose.environment(file["services"]["presence"], example, ACCOUNTS_FILE="/srv/accounts.toml")
    assert with_file["ACCOUNTS_FILE"] == "/etc/eloket/accounts/accounts.toml"
