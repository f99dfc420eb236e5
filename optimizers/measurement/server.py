"""The real server that candidates are measured on: one a worker count, handed each candidate as a live release."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bento_monitor.errors import MeasurementError, ReleaseError
from bento_monitor.lab.server.process import ServerProcess, start_servers
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import promote
from bento_monitor.releases.release_record import Release
from bento_monitor.releases.release_store import write_release
from bento_monitor.releases.worker_state import live_workers

from ..errors import StudyInputError

# A trial is traced as in production, but into a store of its own: no collector of the user's gets its load.
_OWN_STORE = dict.fromkeys(
    ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_TRACES_EXPORTER"), ""
)


@dataclass(frozen=True, slots=True)
class ServerChoice:
    """Which service to serve, how, and for whom."""

    target: str
    working_dir: Path
    service: str
    kind: Literal["stock", "monitored"]
    workers: int


class TrialServer:
    """A server of a study's own, with a private home: nothing that it does touches a server in production."""

    def __init__(self, choice: ServerChoice, folder: Path, process: ServerProcess) -> None:
        self.port = process.port
        self._process = process
        self._folder = folder
        self._store = ActiveStore(_home(folder), choice.service)
        self._served: Path | None = None

    def cpu_seconds(self) -> float:
        """CPU time of all of its processes until now."""
        return self._process.cpu_seconds()

    def take(self, release: Release, artifact: Path | None) -> None:
        """Make every worker serve a release.

        Raises:
            ReleaseError: a worker cannot.
            StudyInputError: the server has loaded another model than the one that the release was made from.
        """
        folder = self._folder / "releases" / f"{release.name.replace(':', '-')}-{time.monotonic_ns()}"
        write_release(release, artifact, folder)
        try:
            promote(self._store, release, folder, timeout_s=120.0)
        except ReleaseError as error:
            self._require_same_model(release, error)
            raise
        if self._served is not None:
            shutil.rmtree(self._served, ignore_errors=True)  # as large as the model, and nobody goes back to it
        self._served = folder

    def require_no_failed_calls(self, release: str) -> None:
        """Raise MeasurementError where the model itself answered in a release's place: figures would be of both.

        A call that the release did not take for its input is none of these: it will not take that in production either.
        """
        told = [worker.fallbacks.get(release, {}) for worker in live_workers(self._store.folder)]
        failed = sum(counts.get("error", 0) for counts in told)
        if failed:
            raise MeasurementError(
                f"The release failed {failed} call(s) under load, which the service's own model answered in its place."
            )
        unknown = sum(counts.get("api", 0) for counts in told)
        if unknown:
            raise MeasurementError(
                f"{unknown} call(s) of the model were for another API, or for one that cannot be told, as in a thread "
                "without its request's context, and the service's own model answered: call it in the API's function, "
                "or run the thread in contextvars.copy_context()."
            )

    def _require_same_model(self, release: Release, error: ReleaseError) -> None:
        for worker in live_workers(self._store.folder):
            found = worker.fingerprints.get(release.runner)
            if found is not None and found != release.model_fingerprint:
                raise StudyInputError(
                    f"The runner {release.runner} wraps another model each time that the service is loaded: give it "
                    "weights from a file, or set a seed before they are drawn."
                ) from error


@contextmanager
def serve_trials(choices: Mapping[str, ServerChoice], folder: Path) -> Iterator[dict[str, TrialServer]]:
    """Serve every choice until the block ends, each in a folder of its own name.

    Raises:
        ServerError: one of them does not start.
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
