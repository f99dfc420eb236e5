"""Releases in BentoML's model store: with their own name, an explicit version, and files that never change."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from ..errors import InputError, ReleaseError
from ..resilience.atomic_files import sha256_of, write_atomic
from ..settings import bentoml_home
from .release_json import parse_release
from .release_record import Release

RECORD_FILE = "release.json"
_MAX_RECORD_BYTES = 16 * 2**20
_MODULE_LABEL = "bento_monitor.service"


def store_name(service: str) -> str:
    """Return the name of a service's releases in the model store; never the name of a model that it serves."""
    return f"{service.lower()}-release"


def write_release(release: Release, artifact: Path | None, folder: Path) -> Path:
    """Write a release's record and artifact into a folder, and verify the artifact's hash.

    Raises:
        ReleaseError: the artifact's hash is not the one in the record.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if artifact is not None and release.artifact_file is not None:
        shutil.copyfile(artifact, folder / release.artifact_file)
    verify_artifact(release, folder)
    write_atomic(folder / RECORD_FILE, release.to_json())
    return folder


def save_release(release: Release, artifact: Path | None) -> Path:
    """Save a release in BentoML's model store; return its folder."""
    import bentoml

    name, _, version = release.name.partition(":")
    labels = {_MODULE_LABEL: release.service}
    with bentoml.models.create(f"{name}:{version}", labels=labels) as model:
        write_release(release, artifact, Path(model.path))
    return Path(bentoml.models.get(release.name).path)


def read_release(folder: Path) -> Release:
    """Read the record in a folder.

    Raises:
        ReleaseError: there is no record, or it is damaged.
    """
    path = folder / RECORD_FILE
    try:
        if path.stat().st_size > _MAX_RECORD_BYTES:
            raise ReleaseError(f"{path} has over {_MAX_RECORD_BYTES} bytes: this is not a release record.", "record")
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ReleaseError(f"{folder} holds no release ({error}).", "record") from error
    return parse_release(text)


def has_record(folder: Path) -> bool:
    """Return whether a folder contains a record."""
    return (folder / RECORD_FILE).is_file()


def record_sha256(folder: Path) -> str:
    """Return the SHA-256 of the record in a folder.

    Raises:
        ReleaseError: there is no record.
    """
    try:
        return sha256_of(folder / RECORD_FILE)
    except OSError as error:
        raise ReleaseError(f"{folder} holds no release ({error}).", "record") from error


def stored_folder(name: str) -> Path:
    """Return the folder of a release in this process's model store, whether or not the release exists."""
    model, _, version = name.partition(":")
    return _models() / model / version


def verify_artifact(release: Release, folder: Path) -> Path | None:
    """Verify the hash of a release's artifact and return its path; None if the release runs the user's own module.

    Raises:
        ReleaseError: the file is missing, outside of the folder, or not the file that was measured.
    """
    if release.artifact_file is None:
        return None
    path = (folder / release.artifact_file).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        raise ReleaseError(
            f"Release {release.name} names {release.artifact_file!r}, which is not in its folder.", "artifact"
        )
    seen = sha256_of(path)
    if seen != release.artifact_sha256:
        raise ReleaseError(
            f"The artifact of release {release.name} has hash {seen[:12]}, the record says "
            f"{str(release.artifact_sha256)[:12]}: it was changed, so it is not loaded. Optimize again.",
            "artifact",
        )
    return path


@dataclass(frozen=True, slots=True)
class StoredRelease:
    """A folder of the model store with a record: the release, or the problem with its record."""

    name: str
    folder: Path
    release: Release | None
    problem: str | None = None


def list_releases(service: str | None = None) -> list[StoredRelease]:
    """Return the releases in BentoML's model store, the oldest first; only those of `service`, if given.

    Damaged releases are always listed, with their problem, because their service is unknown.
    """
    records = sorted(_models().glob(f"*/*/{RECORD_FILE}"), key=_modified_ns)
    found = [_read_stored(path.parent) for path in records]
    return [each for each in found if each.release is None or service in (None, each.release.service)]


def find_release(name: str) -> tuple[Release, Path]:
    """Return a stored release and its folder.

    Raises:
        InputError: there is no release of this name.
        ReleaseError: its record is damaged, or has another name.
    """
    folder = stored_folder(name)
    is_inside = "\0" not in name and folder.resolve().parent.parent == _models().resolve()
    if ":" not in name or not is_inside or not has_record(folder):
        known = ", ".join(stored.name for stored in list_releases()) or "none"
        raise InputError(f"There is no release {name!r} (stored: {known}): run bento-monitor release list.")
    stored = _read_stored(folder)
    if stored.release is None:
        raise ReleaseError(f"Release {name} cannot be used: {stored.problem}", "record")
    return stored.release, folder


def _read_stored(folder: Path) -> StoredRelease:
    name = f"{folder.parent.name}:{folder.name}"
    try:
        release = read_release(folder)
    except ReleaseError as error:
        return StoredRelease(name, folder, None, str(error))
    if release.name != name:
        problem = f"Its record has the name {release.name}: the folder was copied or renamed by hand. Optimize again."
        return StoredRelease(name, folder, None, problem)
    return StoredRelease(name, folder, release)


def _modified_ns(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:  # the file was deleted meanwhile
        return 0


def _models() -> Path:
    # Without importing BentoML: the import takes two seconds of CPU time, which slows down a server under load.
    return bentoml_home() / "models"
