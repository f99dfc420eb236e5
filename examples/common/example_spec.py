"""An example: what its `example.toml` says, and its files of data and weights, made once and cached."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

from user_cache import user_cache

EXAMPLES = Path(__file__).resolve().parents[1]
# A service reads its weights from this folder; without the variable, from `files` beside its code.
FILES_VARIABLE = "EXAMPLE_FILES"
_SCRIPTS = ("make_data.py", "train.py")
_NOT_MAKING = ("service", "field")  # modules that neither make data nor train
_SHARED = ("fitting.py", "wheels.py")  # what these scripts use besides


class ExampleError(Exception):
    """An example cannot be run; the message says what is missing."""


@dataclass(frozen=True, slots=True)
class Example:
    """One example, as the demo runs it.

    Attributes:
        name: its folder.
        title: its name for people.
        service: the service with bento-monitor, `module:Service`.
        baseline: the same service without.
        api: the API that is optimized.
        data: the labelled samples, a path in the folder of its files.
        metric: as for `bento-monitor optimize`.
        max_drop: as for `bento-monitor optimize`.
        answer_tolerance: largest accepted difference between an answer of the server and of the release. The weights
            and kernels are the same; only the order of sums differs.
        batch_tolerance: the same between answers in batches of different composition.
        goodput_slo: limit on latency, such as `p99=50ms`, at which the demo measures how many requests a minute one
            worker answers; empty for none.
        trials: trials on a real server.
        options: more options of `bento-monitor optimize`.
        short_rps: requests per second during the promotion of the demo's short form.
        short_requests: requests whose traces the short form shows.
        varying: fields of an answer that differ each time, such as an id.
    """

    name: str
    title: str
    service: str
    baseline: str
    api: str
    data: str
    metric: str
    max_drop: float
    answer_tolerance: float = 1e-3
    batch_tolerance: float = 0.05
    goodput_slo: str = ""
    trials: int = 8
    options: tuple[str, ...] = ()
    short_rps: float = 10.0
    short_requests: int = 16
    varying: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The folder of its code."""
        return EXAMPLES / self.name

    def option(self, name: str) -> str | None:
        """Return the value of one of its options of `bento-monitor optimize`."""
        return self.options[self.options.index(name) + 1] if name in self.options else None


def example_names() -> list[str]:
    """Return the names of all examples that have a demo."""
    return sorted(path.parent.name for path in EXAMPLES.glob("*/example.toml"))


def read_example(name: str) -> Example:
    """Read `example.toml` of an example.

    Raises:
        ExampleError: there is no such example.
    """
    path = EXAMPLES / name / "example.toml"
    if not path.is_file():
        raise ExampleError(f"There is no example {name!r}: choose one of {', '.join(example_names())}.")
    raw = tomllib.loads(path.read_text(encoding="utf-8"))
    lists = {key: tuple(raw.get(key, ())) for key in ("options", "varying")}
    return Example(name=name, **{**raw, **lists})


def example_files(example: Example, *, is_short: bool = False) -> Path:
    """Return the folder of an example's data and weights, made by its scripts if they are not cached.

    The cache's key is the hash of the code that makes them. With `is_short`, a small part of the data is used, and
    weights that are trained in seconds.

    Raises:
        ExampleError: a script failed.
    """
    cached = user_cache("examples") / f"{example.name}-{_key(example)}{'-short' if is_short else ''}"
    if cached.is_dir():
        return cached
    cached.parent.mkdir(parents=True, exist_ok=True)
    made = Path(tempfile.mkdtemp(prefix=f"{cached.name}.", dir=cached.parent))
    try:
        for script in _SCRIPTS:
            if (example.folder / script).is_file():
                _run_script(example, script, made, is_short=is_short)
        made.chmod(0o755)
        try:
            made.rename(cached)
        except OSError:
            if not cached.is_dir():  # else another process was faster
                raise
    finally:
        shutil.rmtree(made, ignore_errors=True)
    return cached


def _run_script(example: Example, script: str, folder: Path, *, is_short: bool) -> None:
    command = [sys.executable, str(example.folder / script), str(folder), *(["--short"] if is_short else [])]
    done = subprocess.run(command, check=False)
    if done.returncode != 0:
        raise ExampleError(f"{script} of the example {example.name} failed with exit code {done.returncode}.")


def _key(example: Example) -> str:
    digest = hashlib.sha256()
    shared = [EXAMPLES / "common" / name for name in _SHARED]
    for path in [*sorted(example.folder.glob("*.py")), *shared]:
        if not path.name.startswith(_NOT_MAKING):
            digest.update(f"{path.name}\0".encode() + path.read_bytes())
    return digest.hexdigest()[:12]
