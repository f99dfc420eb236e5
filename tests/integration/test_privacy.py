"""Nothing of a request's content leaves the process: a marked string is in no export, no file and no line of ours."""

from __future__ import annotations

import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from bento_monitor.serving.process import ServerProcess, start_server
from bento_monitor.serving.spec import ServerSpec
from bento_monitor.testing import OtlpReceiver

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
            assert CANARY in answer.read().decode()  # the service does see it
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


@pytest.mark.parametrize("fast_path", ["true", "false"])
def test_a_marked_string_is_nowhere_in_what_is_exported_kept_or_logged(tmp_path: Path, fast_path: str) -> None:
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
