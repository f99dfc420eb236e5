"""Releases in BentoML's model store: a name of their own, an explicit version, files that are never changed."""

from __future__ import annotations

import shutil
from pathlib import Path

from ..errors import InputError, ReleaseError
from ..files import sha256_of, write_atomic
from ..settings import bentoml_home
from .record import Release

RECORD_FILE = "release.json"
_MODULE_LABEL = "bento_monitor.service"


def store_name(service: str) -> str:
    """The name in the model store under which a service's releases lie; never that of a model it serves."""
    return f"{service.lower()}-release"


def write_release(release: Release, artifact: Path | None, folder: Path) -> Path:
    """Write a release's record and artifact into a folder, and check the artifact's hash there.

    Raises:
        ReleaseError: the artifact is not the one that the record names.
    """
    folder.mkdir(parents=True, exist_ok=True)
    if artifact is not None and release.artifact_file is not None:
        shutil.copyfile(artifact, folder / release.artifact_file)
    verify_artifact(release, folder)
    write_atomic(folder / RECORD_FILE, release.to_json())
    return folder


def save_release(release: Release, artifact: Path | None) -> Path:
    """Put a release into BentoML's model store; gives its folder there."""
    import bentoml

    name, _, version = release.name.partition(":")
    labels = {_MODULE_LABEL: release.service}
    with bentoml.models.create(f"{name}:{version}", labels=labels) as model:
        write_release(release, artifact, Path(model.path))
    return Path(bentoml.models.get(release.name).path)


def read_release(folder: Path) -> Release:
    """Read the record in a folder.

    Raises:
        ReleaseError: there is none, or it is damaged.
    """
    try:
        text = (folder / RECORD_FILE).read_text(encoding="utf-8")
    except OSError as error:
        raise ReleaseError(f"{folder} holds no release ({error.strerror}).") from error
    return Release.from_json(text)


def verify_artifact(release: Release, folder: Path) -> Path | None:
    """The path of a release's artifact, its hash checked; None where the service's own model is run.

    Raises:
        ReleaseError: the file is missing, lies elsewhere, or is not the one that was measured.
    """
    if release.artifact_file is None:
        return None
    path = (folder / release.artifact_file).resolve()
    if path.parent != folder.resolve() or not path.is_file():
        raise ReleaseError(f"Release {release.name} names {release.artifact_file!r}, which is not in its folder.")
    seen = sha256_of(path)
    if seen != release.artifact_sha256:
        raise ReleaseError(
            f"The artifact of release {release.name} has hash {seen[:12]}, the record says "
            f"{str(release.artifact_sha256)[:12]}: it was changed, so it is not loaded. Optimize again."
        )
    return path


def list_releases(service: str | None = None) -> list[Release]:
    """The releases in BentoML's model store, the oldest first; of one service, if named."""
    records = sorted(_models().glob(f"*/*/{RECORD_FILE}"), key=lambda path: path.stat().st_mtime)
    found = [read_release(path.parent) for path in records]
    return [release for release in found if service is None or release.service == service]


def find_release(name: str) -> tuple[Release, Path]:
    """A stored release and its folder.

    Raises:
        InputError: there is no such release.
        ReleaseError: its record is damaged.
    """
    model, _, version = name.partition(":")
    folder = _models() / model / version
    is_inside = folder.resolve().parent.parent == _models().resolve()
    if not version or not is_inside or not (folder / RECORD_FILE).is_file():
        known = ", ".join(release.name for release in list_releases()) or "none"
        raise InputError(f"There is no release {name!r} (stored: {known}): run bento-monitor release list.")
    return read_release(folder), folder


def _models() -> Path:
    # Found without importing BentoML, whose two seconds of processor time a server under load would feel.
    return bentoml_home() / "models"
