"""The real systems that integration tests run against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from jaeger_server import JaegerServer, find_jaeger, running_jaeger


@pytest.fixture(scope="session")
def jaeger_binary(require_means: Callable[[str], NoReturn]) -> Path:
    """The real Jaeger."""
    found = find_jaeger()
    if found is None:
        require_means("Jaeger is not built: run make jaeger")
    return found


@pytest.fixture(scope="session")
def jaeger(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JaegerServer]:
    """One that every test shares, in memory, on free loopback ports."""
    with running_jaeger(jaeger_binary, tmp_path_factory.mktemp("jaeger") / "jaeger.log") as server:
        yield server
