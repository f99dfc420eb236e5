"""The reference: pages that come from the code are current, the site builds, and public examples run."""

from __future__ import annotations

import doctest
import importlib
import shutil
import subprocess
import sys
import warnings
from pathlib import Path

import make_reference
import pytest
from pages import ROOT

import bento_monitor
from bento_monitor import testing

PUBLIC = [f"bento_monitor.{name}" for name in bento_monitor.__all__ if name != "__version__"]
PUBLIC += [f"bento_monitor.testing.{name}" for name in testing.__all__]


@pytest.mark.parametrize(
    ("name", "page"), [("settings.md", make_reference.settings_page), ("commands.md", make_reference.commands_page)]
)
def test_generated_page_is_current(name: str, page) -> None:
    assert (make_reference.REFERENCE / name).read_text() == page(), "run make reference"


def test_site_has_no_broken_link(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    shutil.copy(ROOT / "zensical.toml", tmp_path)
    (tmp_path / "bento_monitor").symlink_to(ROOT / "bento_monitor")
    command = [Path(sys.executable).with_name("zensical"), "build", "--strict"]
    built = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stdout + built.stderr
    assert (tmp_path / "site" / "tutorial" / "index.html").exists()


@pytest.mark.parametrize("name", PUBLIC)
def test_public_name_has_an_example_that_runs(name: str) -> None:
    module, _, attribute = name.rpartition(".")
    value = getattr(importlib.import_module(module), attribute)
    found = doctest.DocTestFinder(recurse=False).find(value, name, globs=vars(sys.modules[value.__module__]).copy())
    assert sum(len(test.examples) for test in found) > 0
    runner = doctest.DocTestRunner()
    with warnings.catch_warnings():
        warnings.simplefilter("default")  # BentoML warns that its runners are deprecated
        for test in found:
            assert runner.run(test).failed == 0
