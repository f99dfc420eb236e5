"""The release of each workload, found by `bento-monitor optimize` once, and kept until code or data change."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from example_run import run_environment, search_command
from example_spec import Example, example_files, read_example
from user_cache import user_cache

from bento_monitor.resilience.atomic_files import write_atomic

NO_WINNER = 1
CONNECTIONS = 16
ROOT = Path(__file__).resolve().parents[2]
# What a release depends on, besides the example itself.
_CODE = ("bento_monitor", "optimizers", "pyproject.toml", "constraints.txt")


@dataclass(frozen=True, slots=True)
class Workload:
    """An API of an example. `name` is what figures are called after."""

    name: str
    example: Example

    @property
    def key(self) -> str:
        """The name of the workload's own files: the example's, and the API's if it has two."""
        return f"{self.example.name}-{self.example.api}"


def all_workloads() -> list[Workload]:
    """Return every workload; an example with two models gives two.

    A search is made for the load of the benchmark, unless the example says for which.
    """
    names = ("semantic_search", "digits", "machine_failure", "loan_approval", "court_transcription")
    examples = {name: _for_the_load(read_example(name)) for name in names}
    loans = examples.pop("loan_approval")
    by_model = [Workload("loan_approval", replace(loans, api=api)) for api in ("decide", "decide_by_network")]
    return [*by_model, *(Workload(name, example) for name, example in examples.items())]


def _for_the_load(example: Example) -> Example:
    if example.option("--connections") is not None:
        return example
    return replace(example, options=(*example.options, "--connections", str(CONNECTIONS)))


@dataclass(frozen=True, slots=True)
class Released:
    """A workload's search: its homes, and its report, or the reason why it released nothing."""

    workload: Workload
    folder: Path
    report: Mapping[str, Any]

    @property
    def environment(self) -> dict[str, str]:
        """The variables with which the service, the commands and the search see the same data and releases."""
        return run_environment(self.files, self.folder)

    @property
    def full_environment(self) -> dict[str, str]:
        """The whole environment of a process of the workload."""
        return {**os.environ, **self.environment}

    @property
    def files(self) -> Path:
        """The folder of the example's data and weights."""
        return example_files(self.workload.example)

    @property
    def release(self) -> str | None:
        """The name of the release."""
        name: str | None = self.report.get("release")
        return name

    @property
    def refusal(self) -> str | None:
        """Why nothing was released."""
        reason: str | None = self.report.get("refusal")
        return reason


def find_release(workload: Workload) -> Released:
    """Return the workload's release, searched for if it is not there; a search that was stopped goes on.

    Raises:
        RuntimeError: the search failed for another reason than that it found no winner.
    """
    folder = user_cache("releases") / f"{workload.key}-{_code_key(workload.example)}"
    path = folder / "found.json"
    if not path.is_file():
        folder.mkdir(parents=True, exist_ok=True)
        write_atomic(path, json.dumps(_search(workload, folder)))
    return Released(workload, folder, json.loads(path.read_text(encoding="utf-8")))


def _search(workload: Workload, folder: Path) -> dict[str, Any]:
    example = workload.example
    files = example_files(example)
    command = search_command(example, files / example.data, folder)
    log = folder / "optimize.log"
    print(f"==> {workload.key}: {' '.join(command[1:])}\n    progress in {log}", flush=True)
    environment = {**os.environ, **run_environment(files, folder)}
    with log.open("a") as progress:
        done = subprocess.run(
            command,
            cwd=example.folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=progress,
            text=True,
            check=False,
        )
    if done.returncode == 0:
        found: dict[str, Any] = json.loads(done.stdout)
        return found
    last = log.read_text(encoding="utf-8").strip().rpartition("Error: ")[2]
    if done.returncode == NO_WINNER:
        return {"release": None, "refusal": last}
    raise RuntimeError(f"The search for {workload.key} ended with exit code {done.returncode}: {last}")


def _code_key(example: Example) -> str:
    digest = hashlib.sha256()
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *_CODE, f"examples/{example.name}"],
        cwd=ROOT,
        capture_output=True,
        check=True,
    )
    for name in sorted(filter(None, listed.stdout.split(b"\0"))):
        path = ROOT / name.decode()
        if path.is_file() and (path.suffix in (".py", ".toml", ".txt")):
            digest.update(name + b"\0" + path.read_bytes())
    return digest.hexdigest()[:12]
