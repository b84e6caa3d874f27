from pathlib import Path

import pytest

from deploy.onemachine.settings import Refusal, Settings, read_settings

ROOT = Path("/project")


def test_defaults():
    settings = read_settings({}, ROOT)
    assert isinstance(settings, Settings)
    assert settings.ports == {"gateway": 8000, "presence": 8001, "routing": 8002, "transcripts": 8003}
    assert settings.data_dir == ROOT / ".run"
    assert settings.rabbitmq_url is settings.mongodb_url is None


def test_empty_variables_count_as_absent():
    assert read_settings({"GATEWAY_PORT": "", "DATA_DIR": "", "RABBITMQ_URL": ""}, ROOT) == Settings(
        ROOT / ".run",
        {"gateway": 8000, "presence": 8001, "routing": 8002, "transcripts": 8003},
        None,
        None,
        {"GATEWAY_PORT": "", "DATA_DIR": "", "RABBITMQ_URL": ""},
    )


def test_a_data_directory_elsewhere():
    for given, expected in {"data": ROOT / "data", "/var/lib/eloket": Path("/var/lib/eloket")}.items():
        settings = read_settings({"DATA_DIR": given}, ROOT)
        assert isinstance(settings, Settings)
        assert settings.data_dir == expected


@pytest.mark.parametrize(
    ("environ", "words"),
    [
        ({"GATEWAY_PORT": "http"}, "GATEWAY_PORT=http is not a port"),
        ({"ROUTING_PORT": "0"}, "ROUTING_PORT=0 is not a port"),
        ({"ROUTING_PORT": "65536"}, "from 1 to 65535"),
        ({"ROUTING_PORT": "²"}, "is not a port"),
        ({"ROUTING_PORT": "8000"}, "ROUTING_PORT and GATEWAY_PORT are both 8000"),
        ({"RABBITMQ_URL": "localhost:5672"}, "RABBITMQ_URL must begin with amqp://"),
        ({"MONGODB_URL": "http://localhost"}, "MONGODB_URL must begin with mongodb://"),
    ],
)
def test_refusals_name_the_variable_on_one_line(environ: dict[str, str], words: str):
    refusal = read_settings(environ, ROOT)
    assert isinstance(refusal, Refusal)
    assert words in refusal.text
    assert "\n" not in refusal.text
    assert refusal.status != 0
