"""Releases in BentoML's model store, where BentoML itself finds them."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from bento_monitor.errors import InputError
from bento_monitor.releases.release_record import Release
from bento_monitor.releases.release_store import find_release, list_releases
from bento_monitor.serving_config import Execution

# BentoML is imported in a child: it warns, and reads its home only once per process.
SAVE = """
import sys
from pathlib import Path
import bentoml
from bento_monitor.releases.release_record import Execution, Release
from bento_monitor.releases.release_store import save_release
release = Release("svc-release:1-abc", "Svc", ("embed",), "model", Execution("torch", "fp32", 2), None, 1, None, None)
folder = save_release(release, None)
assert folder == Path(bentoml.models.get("svc-release:1-abc").path), folder
print(folder)
"""
RELEASE = Release("svc-release:1-abc", "Svc", ("embed",), "model", Execution("torch", "fp32", 2), None, 1, None, None)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("BENTOML_HOME", str(tmp_path))
    return tmp_path


def test_saved_release_is_found_in_bentomls_store(home: Path) -> None:
    done = subprocess.run([sys.executable, "-c", SAVE], env=os.environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    release, folder = find_release("svc-release:1-abc")
    assert release == RELEASE
    assert folder.resolve() == Path(done.stdout.strip()).resolve()
    assert [stored.release for stored in list_releases()] == [RELEASE]
    assert [stored.release for stored in list_releases("Svc")] == [RELEASE]
    assert list_releases("Other") == []


@pytest.mark.parametrize("name", ["svc-release", "svc-release:2", "../models:1", "a/../../b:1", ":", "svc-release:.."])
def test_name_that_is_not_a_release_is_refused(home: Path, name: str) -> None:
    with pytest.raises(InputError, match="no release"):
        find_release(name)


def test_release_lookup_does_not_import_bentoml(home: Path) -> None:
    code = (
        "import sys; from bento_monitor.releases.release_store import list_releases; list_releases(); "
        "import bento_monitor.cli.release; print('bentoml' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], env=os.environ, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
