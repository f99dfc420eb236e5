"""A server without BentoML: a supervisor that restarts its workers when they die, and workers without a model.

`python server_process.py HOME FOLDER WORKERS PROBATION_S`. In FOLDER a file `kill-RELEASE` makes a worker that loads
RELEASE kill itself (`kill-RELEASE-later`: soon after it starts to serve it), `hang-RELEASE` makes it wait, and
`refuse-RELEASE` makes it refuse.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from releasing import SERVICE, FakeModels

from bento_monitor.errors import ReleaseError
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.agent import ReleaseAgent


def name_of(release: str) -> str:
    return release.replace(":", "-")


def work(home: Path, folder: Path, probation_s: float) -> None:
    models = FakeModels()

    def on_prepare(release: Any) -> None:
        name = name_of(release.name)
        if (folder / f"kill-{name}").exists():
            os.kill(os.getpid(), signal.SIGKILL)
        while (folder / f"hang-{name}").exists():
            time.sleep(0.01)
        if (folder / f"refuse-{name}").exists():
            raise ReleaseError("it was told to refuse.", "load")

    models.on_prepare = on_prepare
    agent = ReleaseAgent(ActiveStore(home, SERVICE), models, poll_interval_s=0.02, probation_s=probation_s)
    agent.start()
    (folder / f"up-{os.getpid()}").touch()
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())
    while not stop.wait(0.02):
        if os.getppid() != int(sys.argv[6]):
            return  # like BentoML's workers, which exit with their supervisor
        served = models.served.get("model")
        if served is not None and (folder / f"kill-{name_of(served)}-later").exists():
            time.sleep(0.1)
            os.kill(os.getpid(), signal.SIGKILL)
    agent.stop()


def supervise(arguments: list[str], count: int) -> None:
    stop = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: stop.set())

    def start() -> subprocess.Popen[bytes]:
        return subprocess.Popen([sys.executable, __file__, *arguments, "work", str(os.getpid())])

    workers = [start() for _ in range(count)]
    while not stop.wait(0.02):
        workers = [worker if worker.poll() is None else start() for worker in workers]
    for worker in workers:
        worker.terminate()
    for worker in workers:
        worker.wait()


if __name__ == "__main__":
    if sys.argv[5:]:
        work(Path(sys.argv[1]), Path(sys.argv[2]), float(sys.argv[4]))
    else:
        supervise(sys.argv[1:], int(sys.argv[3]))
