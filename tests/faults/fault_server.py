"""Servers of the faults' service."""

from __future__ import annotations

import http.client
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bento_monitor.lab.server.server_spec import HOST, ServerSpec
from bento_monitor.testing import OtlpReceiver

Protocol = Literal["http/protobuf", "grpc"]
_FOLDER = Path(__file__).resolve().parent
_POLL_S = 0.02
_ANSWER_TIMEOUT_S = 60.0


def server_spec(
    home: Path,
    receiver: OtlpReceiver | None = None,
    env: Mapping[str, str] | None = None,
    *,
    workers: int = 1,
    module: str = "fault_service",
) -> ServerSpec:
    """Return a monitored server with its own home, which exports to the receiver and traces every request."""
    own = {"BENTO_MONITOR_HOME": str(monitor_home(home)), "BENTO_MONITOR_TRACE_RATE_LIMIT": "0"}
    # As if not set: the process that causes the faults has disabled it for itself, since it forks during calls.
    own["GRPC_ENABLE_FORK_SUPPORT"] = ""
    home.mkdir(exist_ok=True)
    exported = {} if receiver is None else receiver.environment
    return ServerSpec(
        target=f"{module}:Faulted",
        working_dir=_FOLDER,
        as_="monitored",
        workers=workers,
        service_name="Faulted",
        env={**own, **exported, **(env or {})},
        home=home / "bentoml",
        log=home / "server.log",
    )


def monitor_home(home: Path) -> Path:
    """Return the folder in which the server's monitor keeps its reports."""
    return home / "monitor"


@dataclass(frozen=True, slots=True)
class Reply:
    """One response; `headers` has the names of its headers, in lower case."""

    status: int
    body: bytes
    headers: frozenset[str]


def ask(port: int, path: str, body: bytes, headers: Sequence[tuple[str, str]] = ()) -> Reply:
    """Send one request, with additional headers."""
    connection = http.client.HTTPConnection(HOST, port, timeout=_ANSWER_TIMEOUT_S)
    try:
        connection.putrequest("POST", path)
        for name, value in (("content-type", "application/json"), ("content-length", str(len(body))), *headers):
            connection.putheader(name, value)
        connection.endheaders(body)
        response = connection.getresponse()
        return Reply(response.status, response.read(), frozenset(name.lower() for name, _ in response.getheaders()))
    finally:
        connection.close()


def wait_for(condition: Callable[[], object], timeout_s: float) -> float:
    """Wait until a condition holds; return the time that it took.

    Raises:
        TimeoutError: the condition did not hold in time.
    """
    begun_s = time.monotonic()
    while not condition():
        if time.monotonic() - begun_s > timeout_s:
            raise TimeoutError(f"The condition did not hold within {timeout_s:g} s.")
        time.sleep(_POLL_S)
    return time.monotonic() - begun_s
