"""The project of the tutorial, in which every other page continues."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import NoReturn

import pytest
from pages import ROOT, NoReleaseError, Project, run_page


@pytest.fixture(scope="session")
def tutorial_project(
    tmp_path_factory: pytest.TempPathFactory, require_means: Callable[[str], NoReturn]
) -> Iterator[Project]:
    """The folder after the whole tutorial has run."""
    if shutil.which("curl") is None:
        require_means("curl is missing: apt-get install curl")
    project = Project(tmp_path_factory.mktemp("tutorial"))
    try:
        with suppress(NoReleaseError):
            run_page(ROOT / "docs" / "tutorial.md", project)
        yield project
    finally:
        project.stop_server()
