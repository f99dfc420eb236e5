"""The profiled server: started for the profile with a temporary home folder, or already running."""

from __future__ import annotations

import http.client
import json
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil

from ...errors import InputError, MeasurementError, ServerError
from ..server.process import ServerProcess, start_server
from ..server.server_spec import ServedAs, ServerSpec
from .process_use import ProcessUse, read_use

_TIMEOUT_S = 30.0


@dataclass(frozen=True, slots=True)
class Target:
    """A service, `module:Service`, and the folder from which it is imported."""

    name: str
    working_dir: Path


@dataclass(frozen=True, slots=True)
class ProfiledService:
    """A running server; `target`, `server` and `probes` are None if the profile did not start it."""

    host: str
    port: int
    target: Target | None
    server: ServerProcess | None
    probes: Path | None

    @property
    def base_url(self) -> str:
        """URL of the server, without a path."""
        return f"http://{self.host}:{self.port}"

    def use(self) -> ProcessUse | None:
        """Return the totals of the server's processes; None if the profile did not start the server."""
        if self.server is None:
            return None
        workers = self.server.worker_pids()
        supervisor = psutil.Process(self.server.pid)
        pids = [supervisor.pid, *(each.pid for each in supervisor.children(recursive=True))]
        return read_use(pids, workers, self.port)

    def workers(self) -> Sequence[int]:
        """Return the pids of the worker processes; empty if the profile did not start the server."""
        return () if self.server is None else self.server.worker_pids()

    def ask(self, method: str, path: str, body: bytes | None = None) -> tuple[int, bytes]:
        """Send one request and return the status and the body of the answer.

        Raises:
            MeasurementError: the server did not answer.
        """
        connection = http.client.HTTPConnection(self.host, self.port, timeout=_TIMEOUT_S)
        try:
            connection.request(method, path, body, {} if body is None else {"Content-Type": "application/json"})
            response = connection.getresponse()
            return response.status, response.read()
        except (OSError, http.client.HTTPException) as error:
            raise MeasurementError(
                f"{self.base_url}{path} does not answer ({error}): check that the server runs."
            ) from error
        finally:
            connection.close()

    def metrics(self) -> str:
        """Return the text of `/metrics`; empty if the server has no such page."""
        status, answer = self.ask("GET", "/metrics")
        return answer.decode() if status == http.HTTPStatus.OK else ""

    def description(self) -> dict[str, Any]:
        """Return the server's OpenAPI document.

        Raises:
            ServerError: the server has no such document.
        """
        status, answer = self.ask("GET", "/docs.json")
        if status != http.HTTPStatus.OK:
            raise ServerError(f"{self.base_url}/docs.json answers {status}: give the URL of a BentoML service.")
        document: dict[str, Any] = json.loads(answer)
        return document


@contextmanager
def serve_subject(target: str, served_as: ServedAs, workers: int | None) -> Iterator[ProfiledService]:
    """Serve `module:Service` or `path/to/file.py:Service` until the block ends; use the running server of a URL.

    Raises:
        InputError: the target is neither a service nor a URL.
        ServerError: the service could not be served.
    """
    if target.startswith(("http://", "https://")):
        yield _running(target)
        return
    found = _find(target)
    with tempfile.TemporaryDirectory(prefix="bento-monitor-profile-") as home:
        probes = Path(home) / "probes"
        probes.mkdir()
        spec = ServerSpec(
            target=found.name,
            working_dir=found.working_dir,
            as_="monitored",
            workers=workers,
            service_name=None if workers is None else found.name.rpartition(":")[2],
            env={
                "BENTO_MONITOR_PROFILE_FOLDER": str(probes),
                "BENTO_MONITOR_PROFILE_STOCK": str(served_as == "stock").lower(),
            },
            home=Path(home) / "home",
        )
        with start_server(spec) as server:
            yield ProfiledService("127.0.0.1", server.port, found, server, probes)


def _running(url: str) -> ProfiledService:
    parts = urlsplit(url)
    if parts.scheme != "http" or parts.hostname is None or parts.path not in ("", "/"):
        raise InputError(f"{url!r} cannot be profiled: give http://HOST:PORT, without a path; name the API with --api.")
    return ProfiledService(parts.hostname, parts.port or 80, None, None, None)


def _find(target: str) -> Target:
    module, colon, name = target.rpartition(":")
    if not colon or not module or not name:
        raise InputError(f"{target!r} cannot be profiled: give module:Service, file.py:Service, or a URL.")
    folder = Path.cwd()
    if module.endswith(".py"):
        file = Path(module).resolve()
        if not file.is_file():
            raise InputError(f"{file} does not exist: give the file that defines the service.")
        folder, module = file.parent, file.stem
    return Target(f"{module}:{name}", folder)
