"""A study's folder: the result of each stage, written atomically, so that a killed study can be resumed."""

from __future__ import annotations

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from bento_monitor.resilience.atomic_files import is_disk_full, write_atomic

from .data.read import data_digest
from .errors import StudyInputError
from .study_spec import StudySpec


def study_key(spec: StudySpec, model_fingerprint: str, circumstances: Mapping[str, Any]) -> str:
    """Return a hash of the specification, the data, the model, the code, and the circumstances.

    The code is every Python file of the working folder. The circumstances are the versions of the libraries and the
    machine: figures hold only for these.
    """
    # --allow-slower-alone does not change any measurement.
    digest = hashlib.sha256(spec.model_dump_json(exclude={"allow_slower_alone"}).encode())
    digest.update(model_fingerprint.encode())
    digest.update(json.dumps(circumstances, sort_keys=True).encode())
    for data in (spec.data, spec.prove_data):
        digest.update(b"none" if data is None else data_digest(data).encode())
    digest.update(code_digest(spec.working_dir).encode())
    return digest.hexdigest()[:16]


def code_digest(working_dir: Path) -> str:
    """Return a hash of every Python file of a folder, except those of virtual environments."""
    digest = hashlib.sha256()
    for source in sorted(working_dir.rglob("*.py")):
        # An editor's lock file may be a dangling symbolic link.
        if ".venv" not in source.parts and "site-packages" not in source.parts and source.is_file():
            digest.update(str(source.relative_to(working_dir)).encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()


class StudyFolder:
    """Results by stage, as JSON; a finished stage is not run again."""

    def __init__(self, path: Path, artifacts: Path | None = None) -> None:
        """Create the folder if it does not exist; `artifacts` is shared with other studies (default: the study's own).

        Raises:
            StudyInputError: the folder cannot be created or written to.
        """
        self.path = path
        self.artifacts = path / "artifacts" if artifacts is None else artifacts
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / "lock").touch()
        except OSError as error:
            if is_disk_full(error):
                raise
            raise StudyInputError(
                f"The study cannot be stored in {path} ({error.strerror}): pass a writable folder with --study-dir."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Lock the study, so that no second process works on it.

        Raises:
            StudyInputError: another process holds the lock.
        """
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StudyInputError(
                    f"Another process works on the study in {self.path}: wait until it has finished."
                ) from None
            yield

    def once(self, stage: str, compute: Callable[[], Any]) -> Any:
        """Return the result of a stage: the stored one if the stage has finished, otherwise computed and stored."""
        path = self.path / f"{stage}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        result = compute()
        write_atomic(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
        return json.loads(json.dumps(result))
