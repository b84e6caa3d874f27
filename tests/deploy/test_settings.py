"""Settings of `make run`."""

from pathlib import Path

import pytest

from deploy.local.settings import Refusal, Settings, read_settings

ROOT = Path("/project")


def test_defaults() -> None:
    settings = read_settings({}, ROOT)
    assert isinstance(settings, Settings)
    assert settings.ports == {"gateway": 8000, "presence": 8001, "routing": 8002, "transcripts": 8003}
    assert settings.data_dir == ROOT / ".run"
    assert settings.rabbitmq_url is settings.mongodb_url is None
    assert [settings.names(service) for service in settings.ports] == [[service] for service in settings.ports]


def test_empty_variables_count_as_absent() -> None:
    assert read_settings({"GATEWAY_PORT": "", "DATA_DIR": "", "RABBITMQ_URL": ""}, ROOT) == Settings(
        ROOT / ".run",
        {"gateway": 8000, "presence": 8001, "routing": 8002, "transcripts": 8003},
        None,
        None,
        {"GATEWAY_PORT": "", "DATA_DIR": "", "RABBITMQ_URL": ""},
    )


def test_a_data_directory_elsewhere() -> None:
    for given, expected in {"data": ROOT / "data", "/var/lib/eloket": Path("/var/lib/eloket")}.items():
        settings = read_settings({"DATA_DIR": given}, ROOT)
        assert isinstance(settings, Settings)
        assert settings.data_dir == expected


@pytest.mark.parametrize(
    ("text", "counts"),
    [
        ("", [1, 1, 1, 1]),
        ("1", [1, 1, 1, 1]),
        (" 3 ", [3, 3, 3, 3]),
        ("gateway=2,routing=3", [2, 1, 3, 1]),
        ("transcripts = 9", [1, 1, 1, 9]),
    ],
)
def test_replicas_of_all_services_or_of_some(text: str, counts: list[int]) -> None:
    settings = read_settings({"REPLICAS": text}, ROOT)
    assert isinstance(settings, Settings)
    assert list(settings.replicas.values()) == counts


def test_several_replicas_are_numbered() -> None:
    settings = read_settings({"REPLICAS": "routing=2"}, ROOT)
    assert isinstance(settings, Settings)
    assert settings.names("routing") == ["routing-1", "routing-2"]
    assert settings.names("gateway") == ["gateway"]


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT=http is not a port"),
        ({"ROUTING_PORT": "0"}, "ROUTING_PORT=0 is not a port"),
        ({"ROUTING_PORT": "65536"}, "from 1 to 65535"),
        ({"ROUTING_PORT": "²"}, "is not a port"),
        ({"ROUTING_PORT": "8000"}, "ROUTING_PORT and GATEWAY_PORT are both 8000"),
        *(
            ({"REPLICAS": text}, f"REPLICAS={text} is not understood: give a number from 1 to 9")
            for text in (
                "0",
                "10",
                "-1",
                "three",
                "²",
                "1.5",
                "gateway",
                "gateway=",
                "gateway=0",
                "chat=2",
                "3,routing=2",
            )
        ),
        ({"REPLICAS": "gateway=2,gateway=3"}, "is not understood"),
        ({"RABBITMQ_URL": "localhost:5672"}, "RABBITMQ_URL must begin with amqp://"),
        ({"MONGODB_URL": "http://localhost"}, "MONGODB_URL must begin with mongodb://"),
    ],
)
def test_refusals_name_the_variable_on_one_line(environ: dict[str, str], words: str) -> None:
    refusal = read_settings(environ, ROOT)
    assert isinstance(refusal, Refusal)
    assert words in refusal.text
    assert "\n" not in refusal.text
    assert refusal.status != 0
