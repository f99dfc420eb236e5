"""The real servers on which candidates are measured: one per worker count; each candidate is activated as a release."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bento_monitor.errors import MeasurementError, ReleaseError
from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.machine import over_limit
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote
from bento_monitor.releases.release_record import Release
from bento_monitor.releases.release_store import write_release
from bento_monitor.releases.worker_state import live_workers

from ..errors import StudyInputError

# A trial is traced as in production, but into a private store: the user's collector gets no spans of the trials.
_MEMORY_CHECK_S = 0.5
_OWN_STORE = dict.fromkeys(
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"), ""
)


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """Which service to serve, in which way, and with how many workers."""

    target: str
    working_dir: Path
    service: str
    kind: Literal["stock", "monitored"]
    workers: int


class TrialServer:
    """A server of a study, with a private home folder, so that it never affects a server in production."""

    def __init__(self, choice: ServerChoice, folder: Path, process: ServerProcess) -> None:
        self.port = process.port
        self._process = process
        self._folder = folder
        self._store = ActiveStore(_home(folder), choice.service)
        self._active_folder: Path | None = None

    def cpu_seconds(self) -> float:
        """Return the CPU time that all processes of the server have used so far."""
        return self._process.cpu_seconds()

    @contextmanager
    def within_memory(self, limit_bytes: int) -> Iterator[None]:
        """Kill the server as soon as its processes take more memory than the limit.

        Raises:
            MeasurementError: it was killed for that.
        """
        over: list[int] = []
        is_done = threading.Event()

        def watch() -> None:
            while not is_done.wait(_MEMORY_CHECK_S):
                used = self._process.resident_bytes()
                if used > limit_bytes:
                    over.append(used)
                    self._process.kill()
                    return

        watcher = threading.Thread(target=watch, name="bento-monitor-memory", daemon=True)
        watcher.start()
        try:
            yield
        except Exception:
            if not over:
                raise
        finally:
            is_done.set()
            watcher.join()
        if over:
            raise MeasurementError(f"The server was stopped because it {over_limit(over[0], limit_bytes)}.")

    def activate(self, release: Release, artifact: Path | None) -> None:
        """Activate a release in every worker.

        Raises:
            ReleaseError: a worker cannot activate it.
            StudyInputError: the model in the server differs from the model that the release was made from.
        """
        folder = self._folder / "releases" / f"{release.name.replace(':', '-')}-{time.monotonic_ns()}"
        write_release(release, artifact, folder)
        try:
            promote(self._store, release, folder, timeout_s=120.0)
        except ReleaseError as error:
            self._require_same_model(release, error)
            raise
        if self._active_folder is not None:
            # The previous release is as large as the model, and is never activated again.
            shutil.rmtree(self._active_folder, ignore_errors=True)
        self._active_folder = folder

    def require_no_failed_calls(self, release: str) -> None:
        """Raise MeasurementError if the own model answered calls instead of a release: figures would mix both.

        Calls whose input the release does not take are allowed: the release will not take them in production either.
        """
        fallbacks = [worker.fallbacks.get(release, {}) for worker in live_workers(self._store.folder)]
        failed = sum(counts.get("error", 0) for counts in fallbacks)
        if failed:
            raise MeasurementError(
                f"The release failed on {failed} call(s) under load, which the service's own model answered instead."
            )
        unknown = sum(counts.get("api", 0) for counts in fallbacks)
        if unknown:
            raise MeasurementError(
                f"{unknown} call(s) of the model were for another API or for an unknown one, as in a thread without "
                "its request's context, and the service's own model answered them: call the model in the API's "
                "function, or run the thread in contextvars.copy_context()."
            )

    def _require_same_model(self, release: Release, error: ReleaseError) -> None:
        for worker in live_workers(self._store.folder):
            fingerprint = worker.fingerprints.get(release.runner)
            if fingerprint is not None and fingerprint != release.model_fingerprint:
                raise StudyInputError(
                    f"The runner {release.runner} wraps a different model each time the service is loaded: load its "
                    "weights from a file, or set a seed before they are drawn."
                ) from error


@contextmanager
def serve_trials(choices: Mapping[str, ServerChoice], folder: Path) -> Iterator[dict[str, TrialServer]]:
    """Serve every choice until the end of the with block, each with a private folder.

    Raises:
        ServerError: a server does not start.
    """
    folders = {name: folder / name.replace(" ", "-") for name in choices}
    with start_servers([_spec(choice, folders[name]) for name, choice in choices.items()]) as processes:
        yield {
            name: TrialServer(choice, folders[name], process)
            for (name, choice), process in zip(choices.items(), processes, strict=True)
        }


def _spec(choice: ServerChoice, folder: Path) -> ServerSpec:
    return ServerSpec(
        target=choice.target,
        working_dir=choice.working_dir,
        as_=choice.kind,
        workers=choice.workers,
        service_name=choice.service,
        env={**_OWN_STORE, "BENTO_MONITOR_HOME": str(_home(folder)), "BENTO_MONITOR_RELEASE_PROBATION_S": "0"},
        home=folder / "bentoml",
    )


def _home(folder: Path) -> Path:
    return folder / "monitor"
