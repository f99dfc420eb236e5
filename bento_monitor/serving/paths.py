"""The path of each API of a service, read in a child process that imports the user's module and serves nothing.

`python -P -m bento_monitor.serving.paths TARGET` prints the answer as JSON.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

from ..errors import BentoMonitorError, ServiceError

_TIMEOUT_S = 300.0
_OFF = "BENTO_MONITOR_FAST_PATH is false"


@dataclass(frozen=True, slots=True)
class ApiPath:
    """One API: its route, whether it takes the fast path, and the reason if it does not."""

    api: str
    route: str
    is_fast: bool
    reason: str


def read_paths(target: str, working_dir: Path) -> list[ApiPath]:
    """Return the path of each API of the service `module:Service`.

    Raises:
        ServiceError: the service cannot be imported.
    """
    command = [sys.executable, "-P", "-m", "bento_monitor.serving.paths", target]
    try:
        done = subprocess.run(command, cwd=working_dir, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False)
    except subprocess.TimeoutExpired:
        raise ServiceError(f"The service {target} was not imported within {_TIMEOUT_S:.0f} s.") from None
    lines = done.stderr.strip().splitlines() or ["the child process wrote no error message"]
    if done.returncode != 0:
        raise ServiceError(lines[-1].removeprefix("Error: "))
    return [ApiPath(**entry) for entry in json.loads(done.stdout.splitlines()[-1])]


def main(target: str) -> int:
    """Build the service's application as a worker does, and print the paths of its APIs."""
    from ..batching import BatchHooks
    from ..integrations.bentoml.service_class import make_factory, monitor_service
    from ..integrations.bentoml.services import load_service
    from ..settings import load_settings

    try:
        service = load_service(target, Path.cwd())
        is_on = load_settings().fast_path
    except BentoMonitorError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    monitor_service(service, lambda each, build_stock, is_main: build_stock(is_main))
    factory = make_factory(service, True, BatchHooks())
    reason = "the service builds its application in its own way" if factory is None else _OFF
    if factory is None or not is_on:
        found = [ApiPath(name, method.route, False, reason) for name, method in service.apis.items()]
    else:
        factory()
        choices = asyncio.run(factory.open_fast_path())
        found = [ApiPath(choice.api, choice.route, choice.plan is not None, choice.reason) for choice in choices]
    sys.stdout.write("\n" + json.dumps([asdict(path) for path in found]) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
