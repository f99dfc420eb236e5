"""A stock BentoML server and two monitored ones under the same requests; their responses, logs and counters."""

from __future__ import annotations

import http.client
import re
import time
import urllib.request
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from requests_of_kinds import Asked

from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec

STOCK, FAST, BENTOML_PATH = "stock", "fast path", "BentoML's path"
SERVICES = Path(__file__).parent / "services"
# Ids and times differ between servers.
_LEFT_OUT = {"date", "x-bentoml-request-id"}
_ACCESS = re.compile(r"\] \d+\.\d+\.\d+\.\d+:\d+ (\(scheme=.*\) \(status=.*\)) [\d.]+ms( \(trace=\w+,span=\w+,)?")
_RECORD = re.compile(r"\[(\w+)\] \[\S+\] ((?:user record: |Exception on ).*?)( \(trace=\w+,span=\w+,.*)?$")

_IDLE_S = 3.0


@dataclass(frozen=True)
class Answered:
    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


@dataclass
class Arm:
    """One server, on one keep-alive connection."""

    name: str
    server: ServerProcess
    connection: http.client.HTTPConnection = field(init=False)
    last_used_s: float = 0.0

    def __post_init__(self) -> None:
        self.connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)

    def ask(self, asked: Asked) -> Answered:
        # A server closes a connection after 5 s without a request, and a batch of stock BentoML has waited for 8 s.
        if time.monotonic() - self.last_used_s > _IDLE_S:
            self.connection.close()
        try:
            return self._ask(asked)
        except BaseException:
            self.connection.close()  # otherwise each later request would fail, too
            raise
        finally:
            self.last_used_s = time.monotonic()

    def _ask(self, asked: Asked) -> Answered:
        self.connection.putrequest(asked.method, asked.path, skip_host=True, skip_accept_encoding=True)
        self.connection.putheader(
            "Host", "service.example"
        )  # otherwise it differs between servers, and so do redirects
        for name, value in asked.headers:
            self.connection.putheader(name, value)
        self.connection.putheader("Content-Length", str(len(asked.body)))
        self.connection.endheaders(asked.body)
        response = self.connection.getresponse()
        body = response.read()
        headers = tuple(_comparable(name.lower(), value) for name, value in response.getheaders())
        if response.status == 500 and asked.path.startswith("/mounted"):
            self.connection.close()  # uvicorn closes it after a response that does not say so
        return Answered(response.status, tuple(pair for pair in headers if pair[0] not in _LEFT_OUT), body)

    def access_lines(self) -> list[str]:
        """Return the access log without addresses, times and ids, but with whether there were ids."""
        found = [_ACCESS.search(line) for line in self._log_lines()]
        return [f"{match[1]} {bool(match[2])}" for match in found if match is not None]

    def records(self) -> Counter[str]:
        """Count log records of user code and of failing requests; a background task may log after the next request."""
        found = [_RECORD.search(line) for line in self._log_lines()]
        return Counter(f"{match[1]} {match[2]} {bool(match[3])}" for match in found if match is not None)

    def series(self, paths: tuple[str, ...]) -> Counter[str]:
        """Return BentoML's counters and numbers of observations for the given endpoints."""
        with urllib.request.urlopen(f"{self.server.base_url}/metrics", timeout=10) as response:
            text = response.read().decode()
        counts: Counter[str] = Counter()
        for line in text.splitlines():
            name, _, value = line.rpartition(" ")
            is_count = re.match(r"bentoml_service_(request_total|request_duration_seconds_count|request_in_prog)", name)
            # Stock counts a batch for a value without rows; our dispatcher refuses it before there is a batch.
            is_batch = name.startswith("bentoml_service_adaptive_batch_size") and 'method_name="batched"' in name
            if (is_count and any(f'endpoint="{path}"' in name for path in paths)) or is_batch:
                counts[name] = int(float(value))
        return counts

    def wait_for_log(self, lines: int) -> None:
        """Wait until the access log has that many lines: ours are written up to 50 ms after the response."""
        deadline_s = time.monotonic() + 10
        while len(self.access_lines()) < lines:
            assert time.monotonic() < deadline_s, f"{self.name}: {len(self.access_lines())} of {lines} lines"
            time.sleep(0.05)

    def _log_lines(self) -> list[str]:
        return self.server.log.read_text(errors="replace").splitlines()


def _comparable(name: str, value: str) -> tuple[str, str]:
    """Return a header in comparable form; Starlette lists the methods of a route in the order of a set."""
    return name, ", ".join(sorted(value.split(", "))) if name == "allow" else value


@contextmanager
def served(home: Path) -> Iterator[list[Arm]]:
    """Start the three arms. The first one's workers import nothing of bento-monitor."""
    specs = []
    for name in (STOCK, FAST, BENTOML_PATH):
        folder = home / name.replace(" ", "-").replace("'", "")
        specs.append(
            ServerSpec(
                target="kinds:Kinds",
                working_dir=SERVICES,
                as_="stock" if name == STOCK else "monitored",
                env={} if name == STOCK else {"BENTO_MONITOR_FAST_PATH": str(name == FAST).lower()},
                home=folder,
                log=home / f"{folder.name}.log",
            )
        )
    with start_servers(specs) as servers:
        arms = [Arm(name, server) for name, server in zip((STOCK, FAST, BENTOML_PATH), servers, strict=True)]
        try:
            yield arms
        finally:
            for arm in arms:
                arm.connection.close()
