"""No content of a request leaves the process: a marked string is in no export, file or log line of ours."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from bento_monitor.conventions import CAPTURED_PREFIX
from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver, SpanRecord, find_violations

SERVICES = Path(__file__).parent / "services"
CANARY = "Xcanary7d1f"


def ask(server: ServerProcess, path: str, body: object, **headers: str) -> int:
    request = urllib.request.Request(
        server.base_url + path,
        data=json.dumps(body).encode(),
        headers={
            "Content-Type": "application/json",
            **{name.replace("_", "-"): each for name, each in headers.items()},
        },
    )
    try:
        with urllib.request.urlopen(request, timeout=20) as answer:
            assert CANARY in answer.read().decode()  # the service does get it
            return int(answer.status)
    except urllib.error.HTTPError as error:
        error.read()
        return error.code


def send_everywhere(server: ServerProcess) -> None:
    marked = {
        "X_Secret": CANARY,
        "Cookie": f"session={CANARY}",
        "Authorization": f"Bearer {CANARY}",
        "User_Agent": CANARY,
        "baggage": f"user={CANARY}",
        "traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01",
    }
    assert ask(server, f"/echo?q={CANARY}", {"text": CANARY}, **marked) == 200
    assert ask(server, "/batched", {"texts": [CANARY]}, **marked) == 200
    assert ask(server, "/fails", {"text": CANARY}, **marked) == 500
    assert ask(server, "/batch_fails", {"texts": [CANARY]}, **marked) == 500
    assert ask(server, "/echo", {CANARY: CANARY}, **marked) == 400
    assert ask(server, f"/{CANARY}", {}, **marked) == 404


FAST_AND_BENTOML_S = pytest.mark.parametrize("fast_path", ["true", "false"], ids=["fast path", "BentoML's path"])


@FAST_AND_BENTOML_S
def test_marked_string_is_not_exported_stored_or_logged(tmp_path: Path, fast_path: str) -> None:
    with OtlpReceiver() as receiver:
        for name, exports in (("stored", {}), ("exported", receiver.environment)):
            home, log = tmp_path / name, tmp_path / f"{name}.log"
            env = {"BENTO_MONITOR_HOME": str(home / "monitor"), "BENTO_MONITOR_FAST_PATH": fast_path, **exports}
            spec = ServerSpec(target="canary:Canary", working_dir=SERVICES, env=env, home=home / "bentoml", log=log)
            with start_server(spec) as server:
                send_everywhere(server)
            ours = [line for line in log.read_text().splitlines() if "bento_monitor" in line]
            assert not [line for line in ours if CANARY in line]
        assert len([span for span in receiver.spans() if span.kind == "SERVER"]) == 6
        exported = [each.body for each in receiver.exports]
    kept = [path.read_bytes() for path in (tmp_path / "stored" / "monitor").rglob("*") if path.is_file()]
    assert kept
    assert not [content for content in (*exported, *kept) if CANARY.encode() in content]


def captured_of(span: SpanRecord) -> dict[str, object]:
    return {name: value for name, value in span.attributes.items() if name.startswith(CAPTURED_PREFIX)}


@FAST_AND_BENTOML_S
def test_only_the_requested_field_is_captured(tmp_path: Path, fast_path: str) -> None:
    log = tmp_path / "server.log"
    env = {"BENTO_MONITOR_CAPTURE_FIELDS": "echo.text,echo.gone", "BENTO_MONITOR_FAST_PATH": fast_path}
    secret = f"{CANARY} ann@mail.example 4111 1111 1111 1111 Bearer {CANARY}"
    with OtlpReceiver() as receiver:
        spec = ServerSpec(
            target="canary:Canary", working_dir=SERVICES, env=env | receiver.environment, home=tmp_path, log=log
        )
        with start_server(spec) as server:
            assert ask(server, "/echo", {"text": secret}, Cookie=CANARY) == 200
            unsampled = f"00-{'a' * 32}-{'b' * 16}-00"
            assert ask(server, "/echo", {"text": CANARY}, traceparent=unsampled) == 200
            assert ask(server, "/batched", {"texts": [CANARY]}) == 200
            assert ask(server, "/fails", {"text": CANARY}) == 500
        spans = receiver.spans()
    assert find_violations(spans, requests=3) == []
    captured = [captured_of(span) for span in spans if captured_of(span)]
    assert captured == [{f"{CAPTURED_PREFIX}text": f"{CANARY} [redacted] [redacted] [redacted]"}]
    everything = "".join(str((span.name, span.attributes)) for span in spans)
    assert everything.count(CANARY) == 1
    lines = [line for line in log.read_text().splitlines() if "BENTO_MONITOR_CAPTURE_FIELDS" in line]
    assert len(lines) == 1
    assert "echo.gone is not an input of this service" in lines[0]


@FAST_AND_BENTOML_S
def test_batched_inputs_are_captured_on_their_own_requests(tmp_path: Path, fast_path: str) -> None:
    env = {"BENTO_MONITOR_CAPTURE_FIELDS": "batched.texts", "BENTO_MONITOR_FAST_PATH": fast_path}
    sent = [[f"{CANARY}{number}"] for number in range(8)]
    with OtlpReceiver() as receiver:
        spec = ServerSpec(target="canary:Canary", working_dir=SERVICES, env=env | receiver.environment, home=tmp_path)
        with start_server(spec) as server, ThreadPoolExecutor(8) as clients:
            statuses = list(clients.map(lambda texts: ask(server, "/batched", {"texts": texts}), sent))
        spans = receiver.spans()
    assert statuses == [200] * 8
    assert find_violations(spans, requests=8) == []
    captured = [value for span in spans for value in captured_of(span).values()]
    assert sorted(map(str, captured)) == [json.dumps(texts) for texts in sent]
