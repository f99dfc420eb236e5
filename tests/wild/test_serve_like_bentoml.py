"""`bento-monitor serve` accepts the arguments of `bentoml serve`, with the same meaning."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from bento_monitor.cli import main
from bento_monitor.lab.server.process import start_server
from bento_monitor.lab.server.server_spec import ServerSpec

HERE = Path(__file__).parent / "command_lines"
COMMAND = str(Path(sys.executable).with_name("bento-monitor"))
GREETER, ELSEWHERE, NESTED = "service:Greeter", "service:Elsewhere", "nested:Nested"
# Variables, arguments; `{project}` and `{bento}` are folders.
LINES: list[tuple[dict[str, str], list[str]]] = [
    ({}, [GREETER]),
    ({}, ["service.py:Greeter"]),
    ({}, []),
    ({}, ["."]),
    ({}, ["{project}"]),
    ({}, ["{bento}"]),
    ({}, ["greeter:latest"]),
    ({}, [GREETER, "--port", "17001"]),
    ({}, ["--port", "17001", GREETER]),
    ({}, ["-p", "17002", "--host", "127.0.0.1", GREETER]),
    ({}, ["--host=127.0.0.3", GREETER, "--port=17003"]),
    ({"BENTOML_PORT": "17004"}, [GREETER]),
    ({"BENTOML_HOST": "127.0.0.4"}, [GREETER]),
    ({"BENTOML_PORT": "17005", "BENTOML_HOST": "127.0.0.5"}, [GREETER, "--port", "17006"]),
    ({}, [ELSEWHERE]),
    ({}, [ELSEWHERE, "--port", "17007"]),
    ({"BENTOML_PORT": "17008"}, [ELSEWHERE]),
    ({}, [GREETER, "--arg", "greeting=hi"]),
    ({}, ["--arg", "greeting=hi", "--arg", "workers=3", GREETER]),
    ({}, [GREETER, "--arg", "workers=2"]),
    ({}, ["--working-dir", "inner", NESTED]),
    ({}, [NESTED, "--working-dir", "{project}/inner"]),
    ({}, [GREETER, "--development"]),
    ({}, [GREETER, "--reload"]),
    ({}, [GREETER, "--development", "--reload", "--port", "17009"]),
    ({}, [GREETER, "--timeout", "7"]),
    ({}, [GREETER, "--timeout-keep-alive", "9", "--timeout-graceful-shutdown", "3"]),
    ({}, [GREETER, "--backlog", "77"]),
    ({}, [GREETER, "--ssl-certfile", "cert.pem", "--ssl-keyfile", "key.pem"]),
    ({}, [GREETER, "--production"]),
    ({"BENTOML_CONFIG": "{project}/configuration.yaml"}, [GREETER]),
    ({"BENTOML_CONFIG_OVERRIDES": '{"services": {"Greeter": {"workers": 4}}}'}, [GREETER]),
    ({}, [GREETER, "--api-workers", "2"]),
    # Invalid command lines.
    ({}, ["nowhere:Nothing"]),
    ({}, ["service:Nothing"]),
    ({}, [GREETER, "--no-such-option"]),
    ({}, [GREETER, "--port", "many"]),
    ({}, [GREETER, "--host", "no.address.of.ours"]),
    ({}, ["gone:latest"]),
    ({}, ["{project}/nowhere"]),
    ({}, [GREETER, "--arg", "workers=many"]),
]


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("lines") / "project"
    shutil.copytree(HERE / "project", folder)
    (folder / "configuration.yaml").write_text("services:\n  Greeter:\n    http:\n      port: 17010\n    workers: 3\n")
    return folder


@pytest.fixture(scope="module")
def environment(project: Path) -> dict[str, str]:
    return {**os.environ, "BENTOML_HOME": str(project.parent / "home"), "BENTOML_DO_NOT_TRACK": "True"}


@pytest.fixture(scope="module")
def bento(project: Path, environment: dict[str, str]) -> Path:
    """The project as a built Bento, `greeter` in the store."""
    build = [sys.executable, "-P", "-m", "bentoml", "build", "--output", "tag"]
    done = subprocess.run(build, cwd=project, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (folder,) = (project.parent / "home" / "bentos" / "greeter").glob("[!l]*")
    return folder


@pytest.fixture(scope="module")
def found(project: Path, bento: Path, environment: dict[str, str]) -> dict[str, list[Any]]:
    """The outcome of each command line, by arm."""

    def filled(text: str) -> str:
        return text.replace("{project}", str(project)).replace("{bento}", str(bento))

    lines = [
        {
            "folder": str(project),
            "environment": {name: filled(value) for name, value in variables.items()},
            "arguments": [filled(each) for each in arguments],
        }
        for variables, arguments in LINES
    ]
    outcomes = {}
    for arm in ("stock", "monitored"):
        done = subprocess.run(
            [sys.executable, "-P", str(HERE / "what_comes_up.py"), arm],
            input=json.dumps(lines),
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        outcomes[arm] = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
        assert len(outcomes[arm]) == len(LINES), done.stderr
    return outcomes


@pytest.mark.parametrize("index", range(len(LINES)), ids=[" ".join([*map("=".join, v.items()), *a]) for v, a in LINES])
def test_command_line_starts_what_bentoml_starts(found: dict[str, list[Any]], index: int) -> None:
    stock, monitored = found["stock"][index], found["monitored"][index]
    if "exit_code" in stock:
        assert "exit_code" in monitored
        assert monitored["exit_code"] == 2
    else:
        assert monitored == stock


def test_command_lines_start_servers_of_many_kinds(found: dict[str, list[Any]]) -> None:
    started = [each for each in found["monitored"] if "started" in each]
    assert len(started) >= 30
    assert len({json.dumps(each["sockets"]) for each in started}) >= 10
    assert {watcher["processes"] for each in started for watcher in each["started"]} >= {1, 2, 3, 4}


@pytest.mark.parametrize(
    "arguments", [["--host", "127.0.0.1", "x:Y"], ["x:Y", "--arg", "a=b"], ["--development"], [], ["--reload", "."]]
)
def test_arguments_are_passed_on_unchanged(arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    handed: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *call: handed.append(call))
    assert CliRunner().invoke(main, ["serve", "--workers", "3", *arguments]).exit_code == 0
    (_, command, environment) = handed[0]
    assert command[command.index("bento_monitor.serving.launch") + 1 :] == arguments
    assert environment["_BENTO_MONITOR_SERVE_WORKERS"] == "3"


@pytest.mark.parametrize(
    ("variables", "options", "answer"),
    [
        ({}, ["--arg", "greeting=hi"], "hi Ann from project"),
        ({"OTEL_TRACES_EXPORTER": "zipkin"}, [], "hello Ann from project"),
    ],
)
def test_server_uses_its_arguments_and_is_monitored(
    project: Path, tmp_path: Path, variables: dict[str, str], options: list[str], answer: str
) -> None:
    spec = ServerSpec(
        target=GREETER, working_dir=project, as_="monitored", env=variables, home=tmp_path, options=tuple(options)
    )
    with start_server(spec) as server:
        request = urllib.request.Request(
            f"{server.base_url}/greet", b'{"name": "Ann"}', {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=20) as response:
            assert response.read().decode() == answer
        with urllib.request.urlopen(f"{server.base_url}/metrics", timeout=20) as response:
            assert 'bento_monitor_requests_in_flight{service_name="Greeter"}' in response.read().decode()
        log = server.log.read_text()
        assert f'Starting production HTTP BentoServer from "{GREETER}"' in log
        assert log.count("OTEL_TRACES_EXPORTER='zipkin' cannot be used and is ignored") == len(variables)
