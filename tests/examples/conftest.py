"""Data and weights of examples in their short form, made once into the user's cache, as the demo makes them."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NoReturn

import pytest

EXAMPLES = Path(__file__).parents[2] / "examples"
sys.path.append(str(EXAMPLES / "common"))


@pytest.fixture(scope="session")
def require_tools(require_means: Callable[[str], NoReturn]) -> Callable[[str], None]:
    """Return a function that requires the programs with which an example makes its data."""

    def require(example: str) -> None:
        if example == "court_transcription" and shutil.which("espeak-ng") is None:
            require_means("espeak-ng is not installed: apt-get install espeak-ng")

    return require


@pytest.fixture(scope="session")
def short_files(require_tools: Callable[[str], None]) -> Callable[[str], Path]:
    """Return a function from an example's name to the folder of its short data and weights."""
    from example_spec import example_files, read_example

    def files(name: str) -> Path:
        require_tools(name)
        return example_files(read_example(name), is_short=True)

    return files
