"""Small releases and workers for tests, on the real store."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bento_monitor.errors import ReleaseError
from bento_monitor.releases.active_state import promoted
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.agent import ReleaseAgent
from bento_monitor.releases.release_record import Release, TensorSpec
from bento_monitor.releases.release_store import record_sha256, write_release
from bento_monitor.resilience.atomic_files import sha256_of
from bento_monitor.serving_config import Batching, Execution

FINGERPRINT = f"v1:{'a' * 64}"
SERVICE = "svc"
BATCHING = Batching(32, 5.0)


def make_release(
    folder: Path,
    version: str = "1",
    *,
    runner: str = "model",
    apis: tuple[str, ...] = ("embed",),
    batching: Batching | None = BATCHING,
    workers: int | None = None,
    fingerprint: str | None = FINGERPRINT,
    **fields: Any,
) -> tuple[Release, Path]:
    """Make a release of the service `svc`; return it with its folder in a model store under `folder`."""
    name = f"svc-release:{version}"
    folder.mkdir(parents=True, exist_ok=True)
    artifact = folder / f"built-{version}.onnx"
    artifact.write_bytes(b"weights of " + name.encode())
    record = {
        "name": name,
        "service": SERVICE,
        "apis": apis,
        "runner": runner,
        "execution": Execution("onnxruntime", "fp32", 2, sub_batch_size=4, mask_input="mask"),
        "batching": batching,
        "workers": workers,
        "artifact_file": "model.onnx",
        "artifact_sha256": sha256_of(artifact),
        "model_fingerprint": fingerprint,
        "inputs": (TensorSpec("ids", "int64", (None, None)),),
        "evidence": {"speedup": 3.0},
    }
    release = Release(**{**record, **fields})
    return release, write_release(release, artifact, folder / "models" / "svc-release" / version)


class FakeModels:
    """Runners without a model; `served` has the releases that they serve."""

    def __init__(self, *runners: str, refuse: Mapping[str, str] | None = None) -> None:
        """Create runners; `refuse` maps the names of releases to the reason for refusing them."""
        self.runners = list(runners or ("model",))
        self.refuse = dict(refuse or {})
        self.served: dict[str, str] = {}
        self.batching: dict[str, Batching] = {}
        self.taken: list[dict[str, str]] = []
        self.prepared: list[str] = []
        self.failed = 0
        self.times_freed = 0
        self.failing: str | None = None  # the failing release; None for all served releases
        self.on_prepare: Callable[[Release], None] = lambda release: None

    def names(self) -> list[str]:
        return self.runners

    def fingerprints(self, names: Collection[str]) -> dict[str, str]:
        return dict.fromkeys(names, FINGERPRINT)

    def prepare(self, runner: str, release: Release, folder: Path) -> str:
        self.on_prepare(release)
        self.prepared.append(release.name)
        if release.name in self.refuse:
            raise ReleaseError("it does not load.", self.refuse[release.name])
        return release.name

    def serve(self, prepared: Mapping[str, str], batching: Mapping[str, Batching]) -> None:
        self.served, self.batching = dict(prepared), dict(batching)
        self.taken.append(dict(prepared))

    def free_previous(self) -> None:
        self.times_freed += 1

    def failures(self) -> dict[str, int]:
        return dict.fromkeys(self.served.values() if self.failing is None else [self.failing], self.failed)

    def fallbacks(self) -> dict[str, dict[str, int]]:
        return {}


@contextmanager
def worker(store: ActiveStore, models: FakeModels | None = None, probation_s: float = 0.0) -> Iterator[FakeModels]:
    """Run a worker in this process."""
    models = models or FakeModels()
    agent = ReleaseAgent(store, models, poll_interval_s=0.01, probation_s=probation_s)
    agent.start()
    try:
        yield models
    finally:
        agent.stop()


def move_to(store: ActiveStore, release: Release, folder: Path) -> None:
    """Make a release active, without waiting for workers."""
    sha256 = record_sha256(folder)
    store.move(lambda state, _, now_s, new: promoted(state, release, folder, sha256, now_s, new))


def script_environment() -> dict[str, str]:
    """Return the environment of a script that imports modules of this folder."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """Run calls at the same time; return what each returns or raises."""
    found: list[Any] = [None] * len(calls)
    barrier = threading.Barrier(len(calls))

    def run(index: int, call: Callable[[], Any]) -> None:
        barrier.wait()
        try:
            found[index] = call()
        except Exception as error:
            found[index] = error

    threads = [threading.Thread(target=run, args=each) for each in enumerate(calls)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found
