"""The specification of a server to start."""

from __future__ import annotations

import json
import os
import secrets
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from ...errors import InputError

ServedAs = Literal["stock", "monitored"]

HOST = "127.0.0.1"
GRACEFUL_SHUTDOWN_S = 10
# In the environment of all processes of a server: BentoML's workers have their own sessions and outlive a supervisor.
SERVER_MARK = "_BENTO_MONITOR_SERVER"
_OVERRIDES = "BENTOML_CONFIG_OVERRIDES"
# A BentoML client sends the key as a bearer token to any URL; the folder belongs to another server.
_REMOVED_VARIABLES = ("BENTO_CLOUD_API_KEY", "BENTO_CLOUD_API_ENDPOINT", "PROMETHEUS_MULTIPROC_DIR", "BENTOML_QUIET")
_PRIVATE = ("BENTOML_HOME", "BENTOML_RESULT_STORE", "BENTO_MONITOR_HOME")


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerSpec:
    """A BentoML server of one service.

    Args:
        target: the service, `module:Service`, found from `working_dir`.
        as_: "stock" is what `bentoml serve` does, "monitored" what `bento-monitor serve` does.
        port: None takes a free port.
        workers: worker processes, instead of the service's own number; needs `service_name`.
        service_name: name of the entry service in BentoML's configuration.
        env: variables that are added to this process's environment.
        home: a BENTOML_HOME for this server and its monitor, with links to the models and Bentos of the usual one. Two
            servers that share a BENTOML_HOME delete each other's metrics.
        log: file for the server's output; None takes a file that is deleted with the server.
        options: more options of `bentoml serve`.
        ready_timeout_s: time from the start until all workers answer.
    """

    target: str
    working_dir: Path
    as_: ServedAs = "stock"
    port: int | None = None
    workers: int | None = None
    service_name: str | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    home: Path | None = None
    log: Path | None = None
    options: tuple[str, ...] = ()
    ready_timeout_s: float = 180.0

    def __post_init__(self) -> None:
        if self.workers is not None and self.service_name is None:
            raise InputError(f"workers={self.workers} needs service_name: BentoML configures workers by service.")
        if self.workers is not None and self.workers < 1:
            raise InputError(f"workers={self.workers} must be at least 1.")
        if not self.working_dir.is_dir():
            raise InputError(f"{self.working_dir} is not a folder: give the one that {self.target} is imported from.")

    def command(self, port: int) -> list[str]:
        """Return the command that serves on `port`.

        With -P, the current folder hides no module of BentoML's or ours; BentoML itself then puts the working directory
        first on the path of every process, so that a user's modules win over installed ones.
        """
        start = [sys.executable, "-P", "-m"]
        start += ["bentoml", "serve"] if self.as_ == "stock" else ["bento_monitor.serving.launch"]
        options = ["--host", HOST, "--port", str(port), "--working-dir", str(self.working_dir.resolve())]
        return [*start, self.target, *options, *self.options, "--timeout-graceful-shutdown", str(GRACEFUL_SHUTDOWN_S)]

    def environment(self) -> dict[str, str]:
        """Return the whole environment of the server."""
        left_out = _REMOVED_VARIABLES if self.home is None else (*_REMOVED_VARIABLES, *_PRIVATE)
        environment = {name: value for name, value in os.environ.items() if name not in left_out} | dict(self.env)
        environment |= {"BENTOML_DO_NOT_TRACK": "True", SERVER_MARK: secrets.token_hex(8)}
        if self.workers is not None:
            environment[_OVERRIDES] = self._overrides(environment.get(_OVERRIDES) or "{}")
        if self.home is not None:
            environment["BENTOML_HOME"] = str(self.home.resolve())
        return environment

    def _overrides(self, present: str) -> str:
        try:
            overrides: dict[str, Any] = json.loads(present)
            services = overrides.setdefault("services", {})
            services[self.service_name] = services.get(self.service_name, {}) | {"workers": self.workers}
        except (ValueError, AttributeError, TypeError):
            raise InputError(f"{_OVERRIDES}={present!r} must be a JSON object of BentoML's configuration.") from None
        return json.dumps(overrides)


def make_private_home(home: Path, environment: Mapping[str, str]) -> None:
    """Create a BENTOML_HOME with links to the models and Bentos of the BENTOML_HOME that `environment` names."""
    named = environment.get("BENTOML_HOME")
    shared = Path(named).expanduser().resolve() if named else Path.home() / "bentoml"
    if shared == home.resolve():
        raise InputError(f"{home} is the shared BENTOML_HOME: give a server a folder of its own.")
    home.mkdir(parents=True, exist_ok=True)
    for store in ("models", "bentos"):
        (shared / store).mkdir(parents=True, exist_ok=True)
        link = home / store
        if not link.exists():
            link.symlink_to(shared / store, target_is_directory=True)
