"""What every test may use, and what none may inherit from the shell it is started in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest


def pytest_configure() -> None:
    """Keep gRPC from starting its threads again in the children of this process, where some of its receivers run.

    It does so between the fork and the exec of a server, whose files are closed there, and then aborts now and then.
    """
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(autouse=True, scope="session")
def _environment_of_its_own() -> Iterator[None]:
    """Neither a person's telemetry settings nor BentoML's usage reports reach a test, or a process that it starts."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("OTEL_", "BENTO_MONITOR_"))]:
            patch.delenv(name)
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        yield


def require_means(reason: str) -> NoReturn:
    """End a test whose means are missing: skipped with its reason, or failed where `REQUIRE=all` says they are here.

    A test that needs a GPU uses the fixture `gpu` and skips: that alone may be missing everywhere.
    """
    if os.environ.get("REQUIRE") == "all":
        pytest.fail(f"{reason} (REQUIRE=all: only a GPU may be missing)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(name="require_means", scope="session")
def require_means_fixture() -> Callable[[str], NoReturn]:
    return require_means


@pytest.fixture(scope="session")
def gpu() -> None:
    """A GPU that torch can compute on."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")
