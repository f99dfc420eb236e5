"""Releases, workers and servers for the tests: made small, on the real store."""

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
    """A release of the service `svc`, and its folder in a model store under `folder`."""
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
    """Runners without a model: what they are told to serve is what is in `served`."""

    def __init__(self, *runners: str, refuse: Mapping[str, str] | None = None) -> None:
        """`refuse` gives the reason for which a release of that name is not taken."""
        self.runners = list(runners or ("model",))
        self.refuse = dict(refuse or {})
        self.served: dict[str, str] = {}
        self.batching: dict[str, Batching] = {}
        self.taken: list[dict[str, str]] = []
        self.prepared: list[str] = []
        self.failed = 0
        self.times_let_go = 0
        self.failing: str | None = None  # the release that fails; all that are served where it is None
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
        self.times_let_go += 1

    def failures(self) -> dict[str, int]:
        return dict.fromkeys(self.served.values() if self.failing is None else [self.failing], self.failed)

    def fallbacks(self) -> dict[str, dict[str, int]]:
        return {}


@contextmanager
def worker(store: ActiveStore, models: FakeModels | None = None, probation_s: float = 0.0) -> Iterator[FakeModels]:
    """A worker in this process."""
    models = models or FakeModels()
    agent = ReleaseAgent(store, models, poll_interval_s=0.01, probation_s=probation_s)
    agent.start()
    try:
        yield models
    finally:
        agent.stop()


def move_to(store: ActiveStore, release: Release, folder: Path) -> None:
    """Make a release active, and wait for nobody."""
    sha256 = record_sha256(folder)
    store.move(lambda state, _, now_s, new: promoted(state, release, folder, sha256, now_s, new))


def script_environment() -> dict[str, str]:
    """The environment of a script that imports what lies beside this file."""
    paths = os.pathsep.join([str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")])
    return {**os.environ, "PYTHONPATH": paths}


def at_once(*calls: Callable[[], Any]) -> list[Any]:
    """What each call gives or raises, all begun at the same moment."""
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
