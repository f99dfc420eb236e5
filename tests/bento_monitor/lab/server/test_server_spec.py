from __future__ import annotations

import json
import socket
from pathlib import Path

import pytest

from bento_monitor.errors import InputError
from bento_monitor.lab.server import ServerSpec, make_private_home
from bento_monitor.serving import check_port, free_port


def spec(tmp_path: Path, **changes):
    return ServerSpec(**({"target": "service:Service", "working_dir": tmp_path} | changes))


def test_worker_override_keeps_the_users_overrides(tmp_path):
    present = {"services": {"Service": {"traffic": {"timeout": 5}}, "Other": {"workers": 3}}}
    env = {"BENTOML_CONFIG_OVERRIDES": json.dumps(present)}
    environment = spec(tmp_path, workers=2, service_name="Service", env=env).environment()
    present["services"]["Service"]["workers"] = 2
    assert json.loads(environment["BENTOML_CONFIG_OVERRIDES"]) == present


@pytest.mark.parametrize("present", ["no json", "[]", '{"services": 3}', '{"services": {"Service": 3}}'])
def test_invalid_overrides_are_refused(tmp_path, present):
    env = {"BENTOML_CONFIG_OVERRIDES": present}
    with pytest.raises(InputError, match="BENTOML_CONFIG_OVERRIDES"):
        spec(tmp_path, workers=2, service_name="Service", env=env).environment()


def test_secrets_and_folders_of_other_servers_are_not_inherited(tmp_path, monkeypatch):
    for name in ("BENTO_CLOUD_API_KEY", "PROMETHEUS_MULTIPROC_DIR", "BENTOML_RESULT_STORE", "BENTO_MONITOR_HOME"):
        monkeypatch.setenv(name, "inherited")
    environment = spec(tmp_path, home=tmp_path / "home", env={"BENTO_MONITOR_HOME": "given"}).environment()
    assert "inherited" not in environment.values()
    assert environment["BENTO_MONITOR_HOME"] == "given"
    assert environment["BENTOML_HOME"] == str(tmp_path / "home")
    assert environment["BENTOML_DO_NOT_TRACK"] == "True"


def test_only_the_monitored_server_runs_our_code(tmp_path):
    stock, monitored = spec(tmp_path), spec(tmp_path, as_="monitored")
    assert not [word for word in stock.command(3000) if "bento_monitor" in word]
    assert "bento_monitor.serving.launch" in monitored.command(3000)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"workers": 2}, "needs service_name"),
        ({"workers": 0, "service_name": "Service"}, "at least 1"),
        ({"working_dir": Path("nowhere")}, "is not a folder"),
    ],
)
def test_invalid_server_spec_is_refused(tmp_path, changes, message):
    with pytest.raises(InputError, match=message):
        spec(tmp_path, **changes)


def test_private_home_keeps_its_links_when_created_again(tmp_path):
    environment = {"BENTOML_HOME": str(tmp_path / "shared")}
    for _ in range(2):
        make_private_home(tmp_path / "home", environment)
    assert (tmp_path / "home" / "models").resolve() == tmp_path / "shared" / "models"


def test_shared_home_is_not_a_private_one(tmp_path):
    with pytest.raises(InputError, match="folder of its own"):
        make_private_home(tmp_path, {"BENTOML_HOME": str(tmp_path)})


def test_servers_of_one_process_get_different_ports():
    ports = [free_port() for _ in range(500)]
    assert len(set(ports)) == len(ports)


def test_free_port_can_be_used_and_is_then_taken():
    port = free_port()
    check_port("127.0.0.1", port)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", port))
        taken.listen()
        with pytest.raises(InputError, match="in use"):
            check_port("127.0.0.1", port)
