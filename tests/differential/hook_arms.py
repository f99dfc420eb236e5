"""Services whose requests enter each of our hooks, and those requests."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from arms import SERVICES, Answered, Arm
from hypothesis import HealthCheck, Phase, given, settings
from requests_of_kinds import Asked, requests

from bento_monitor.lab.server.server_spec import ServerSpec

REQUESTS = 200
_JSON = (("content-type", "application/json"),)
_TEXT = (("content-type", "text/plain"),)
_PARENT = re.compile(r"^([0-9a-f]{2}-[0-9a-f]{32}-)[0-9a-f]{16}-[0-9a-f]{2}")
Ask = Callable[[Arm, Asked], Answered]


@dataclass(frozen=True)
class Service:
    """A service, its requests, and for each hook a function of ours that shows that the hook was entered."""

    target: str
    folder: Path
    asked: list[Asked]
    entered: dict[str, str]
    ask: Ask
    wraps_itself: bool = False

    def spec(self, home: Path, *, is_ours: bool, env: dict[str, str]) -> ServerSpec:
        if not is_ours and self.wraps_itself:
            env = {**env, "BENTO_MONITOR_ENABLED": "false"}
        return ServerSpec(
            target=self.target,
            working_dir=self.folder,
            as_="monitored" if is_ours and not self.wraps_itself else "stock",
            env=env,
            home=home / "home",
            log=home / "log",
        )


def _plain(arm: Arm, asked: Asked) -> Answered:
    return arm.ask(asked)


def _and_its_task(arm: Arm, asked: Asked) -> Answered:
    """Return the response, or the result of the submitted task."""
    answer = arm.ask(asked)
    if not asked.path.endswith("/submit"):
        return answer
    query = f"?task_id={json.loads(answer.body)['task_id']}"
    deadline_s = time.monotonic() + 30
    while json.loads(arm.ask(Asked("GET", f"/square/status{query}", (), b"")).body)["status"] == "in_progress":
        assert time.monotonic() < deadline_s
        time.sleep(0.005)
    return arm.ask(Asked("GET", f"/square/get{query}", (), b""))


def _generated(count: int) -> list[Asked]:
    found: list[Asked] = []

    @settings(
        max_examples=count,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(asked=requests())
    def note(asked: Asked) -> None:
        found.append(_from_its_own_span(asked, len(found)))

    note()
    return found


def _from_its_own_span(asked: Asked, number: int) -> Asked:
    """Return the request with its own parent span: the trace laws assume one call from each of a caller's spans."""

    def own(value: str) -> str:
        return _PARENT.sub(lambda found: f"{found[1]}{number + 1:016x}-01", value)

    headers = tuple((name, own(value) if name == "traceparent" else value) for name, value in asked.headers)
    return Asked(asked.method, asked.path, headers, asked.body)


def _of_hooked(count: int) -> list[Asked]:
    paths = ("/calls", "/calls_in_thread", "/itself", "/square/submit")
    return [Asked("POST", paths[n % 4], _JSON, b'{"x": %d}' % (n // 4 - 2)) for n in range(count)]


def _of_legacy(count: int) -> list[Asked]:
    def one(n: int) -> Asked:
        return (
            Asked("POST", "/threaded", _JSON, b"[[%d]]" % n),
            Asked("POST", "/batched", _JSON, b"[[%d]]" % (n - 9)),
            Asked("POST", "/sums/add", _JSON, b'{"left": [%d], "right": [2]}' % n),
            Asked("POST", "/embedded", _JSON, b"[[%d]]" % n),
            Asked("POST", "/stream", _TEXT, b"%d" % (n % 5)),
            Asked("POST", "/fails", _JSON, b"{}"),
        )[n % 6]

    return [one(n) for n in range(count)]


_KINDS = {
    "service_app": "integrations/bentoml/app_factory.py:MonitoredAppFactory.__call__",
    "dispatcher": "integrations/bentoml/app_factory.py:MonitoredAppFactory.batch_infer",
    "threads": "request/function_threads.py:FunctionThreads.run",
    "io_stamps": "integrations/bentoml/io_stamps.py:_stamp_input.<locals>.from_http_request",
    "request_id": "integrations/bentoml/app_factory.py:set_request_id",
    "read_stamp": "integrations/uvicorn/read_stamps.py:_stamped.<locals>.StampedProtocol.data_received",
    "head_limits": "integrations/uvicorn/head_limits.py:_measured.<locals>.MeasuredProtocol.on_headers_complete",
    "joined_writes": "integrations/uvicorn/joined_writes.py:JoinedWrites.write",
    "traffic": "request/traffic.py:Traffic.run",
    "schema": "integrations/bentoml/schema_memory.py:_remember_mime_type.<locals>.mime_type",
    "answers": "fast_path/path.py:FastPath.serve",
}
_HOOKED = {
    "client_calls": "integrations/bentoml/client_calls.py:_noting.<locals>.NotingClient._call",
    "sessions": "integrations/bentoml/sessions.py:_keeping.<locals>.KeepingSessionManager.get_session",
    "tasks": "request/task_runs.py:TaskRuns.run",
    "connections": "connections/acceptor.py:Acceptor._open",
}
_LEGACY = {
    "legacy_service": "integrations/bentoml_legacy/app.py:_StampedOutput.to_http_response",
    "legacy_runner": "integrations/bentoml_legacy/runner.py:_TracedHandle.async_run_method",
    "legacy_runner_app": "integrations/bentoml_legacy/runner_app.py:_StampedMethod.async_run",
}
KINDS = Service("kinds:Kinds", SERVICES, _generated(REQUESTS), _KINDS, _plain)
HOOKED = Service("hooked:Hooked", SERVICES, _of_hooked(REQUESTS), _HOOKED, _and_its_task)
LEGACY = Service(
    "legacy:svc",
    SERVICES.parents[1] / "integration" / "services",
    _of_legacy(REQUESTS),
    _LEGACY,
    _plain,
    wraps_itself=True,
)
EVERY = (KINDS, HOOKED, LEGACY)
