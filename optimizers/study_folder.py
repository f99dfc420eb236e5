"""A study's folder: what each stage found, written whole, so that a killed study goes on where it was."""

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
    """A hash of the specification, the data, the model, every Python file of the working folder, and the circumstances.

    Those are what figures are only good for: the versions of the libraries, and the machine.
    """
    # What is allowed of a proof does not change what is measured.
    digest = hashlib.sha256(spec.model_dump_json(exclude={"allow_slower_alone"}).encode())
    digest.update(model_fingerprint.encode())
    digest.update(json.dumps(circumstances, sort_keys=True).encode())
    for data in (spec.data, spec.prove_data):
        digest.update(b"none" if data is None else data_digest(data).encode())
    for source in sorted(spec.working_dir.rglob("*.py")):
        # An editor's lock may be a link to nowhere.
        if ".venv" not in source.parts and "site-packages" not in source.parts and source.is_file():
            digest.update(str(source.relative_to(spec.working_dir)).encode())
            digest.update(source.read_bytes())
    return digest.hexdigest()[:16]


class StudyFolder:
    """Results by stage, as JSON; a stage that was finished is not run again."""

    def __init__(self, path: Path) -> None:
        """Make the folder if it is not there.

        Raises:
            StudyInputError: it cannot be made or written to.
        """
        self.path = path
        try:
            path.mkdir(parents=True, exist_ok=True)
            (path / "lock").touch()
        except OSError as error:
            if is_disk_full(error):
                raise
            raise StudyInputError(
                f"The study cannot be kept in {path} ({error.strerror}): name a folder that can be written to by "
                "--study-dir."
            ) from error

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the study, so that no second process works on it.

        Raises:
            StudyInputError: another process does.
        """
        with (self.path / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise StudyInputError(f"Another process works on the study in {self.path}: wait for it.") from None
            yield

    def once(self, stage: str, compute: Callable[[], Any]) -> Any:
        """The result of a stage: read if it was finished, else computed and written."""
        path = self.path / f"{stage}.json"
        if path.is_file():
            return json.loads(path.read_text(encoding="utf-8"))
        result = compute()
        write_atomic(path, json.dumps(result, indent=2, allow_nan=False) + "\n")
        return json.loads(json.dumps(result))
