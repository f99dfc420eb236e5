"""Fixtures for all tests, and protection from the environment of the shell that starts them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NoReturn

import pytest
from jaeger_server import JaegerServer, find_jaeger, running_jaeger
from left_out import BUSY

# At most this many tests may be left out because the machine is busy; more would hide a real failure.
MAX_BUSY = 8
_BUSY_KEY = "bento-monitor/left-out-as-busy"
_BUSY_TESTS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add the option that runs the tests again that were left out because the machine was busy."""
    parser.addoption(
        "--left-out-as-busy",
        action="store_true",
        help="Run only the tests that the last run left out because the machine was busy.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With the option, keep only the tests that were left out."""
    config.stash[_BUSY_TESTS] = []
    if config.getoption("--left-out-as-busy") and getattr(config, "cache", None) is not None:
        wanted = set(config.cache.get(_BUSY_KEY, []))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in wanted])
        items[:] = [item for item in items if item.nodeid in wanted]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note a test that was skipped because other processes use the CPU."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and BUSY in report.longrepr[2]:
        item.config.stash[_BUSY_TESTS].append(item.nodeid)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Store the names of left-out tests, and keep earlier ones that did not run now; fail if there are too many."""
    busy = session.config.stash.get(_BUSY_TESTS, [])
    if getattr(session.config, "cache", None) is not None:
        ran = {item.nodeid for item in getattr(session, "items", ())}
        earlier = [name for name in session.config.cache.get(_BUSY_KEY, []) if name not in ran]
        session.config.cache.set(_BUSY_KEY, [*earlier, *busy])
    no_tests = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    if session.config.getoption("--left-out-as-busy") and exitstatus == no_tests:
        session.exitstatus = pytest.ExitCode.OK  # none was left out
    if len(busy) > MAX_BUSY:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """List the left-out tests."""
    if busy := config.stash.get(_BUSY_TESTS, []):
        terminalreporter.section("left out: other processes use the CPU")
        for name in busy:
            terminalreporter.line(name)
        if len(busy) > MAX_BUSY:
            terminalreporter.line(f"These are more than {MAX_BUSY}, which fails the run.")


def pytest_configure() -> None:
    """Keep gRPC from restarting its threads in the children of this process, which runs some of its receivers.

    gRPC does so between a server's fork and exec, when the child's files are closed, and sometimes aborts then.
    """
    os.environ["GRPC_ENABLE_FORK_SUPPORT"] = "0"


@pytest.fixture(autouse=True, scope="session")
def _environment_of_its_own() -> Iterator[None]:
    """Keep the developer's telemetry settings and BentoML's usage reports away from tests and their processes."""
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith(("OTEL_", "BENTO_MONITOR_"))]:
            patch.delenv(name)
        patch.setenv("BENTOML_DO_NOT_TRACK", "True")
        yield


def require_means(reason: str) -> NoReturn:
    """Skip a test whose requirement is missing; with `REQUIRE=all` fail it.

    A test that needs a GPU uses the fixture `gpu` and skips: only a GPU may be missing everywhere.
    """
    if os.environ.get("REQUIRE") == "all":
        pytest.fail(f"{reason} (REQUIRE=all: only a GPU may be missing)", pytrace=False)
    pytest.skip(reason)


@pytest.fixture(name="require_means", scope="session")
def require_means_fixture() -> Callable[[str], NoReturn]:
    return require_means


@pytest.fixture(scope="session")
def gpu() -> None:
    """Require a GPU that torch can use."""
    import torch

    if not torch.cuda.is_available():
        pytest.skip("no CUDA device here")


@pytest.fixture(scope="session")
def jaeger_binary(require_means: Callable[[str], NoReturn]) -> Path:
    """The binary of the real Jaeger."""
    found = find_jaeger()
    if found is None:
        require_means("Jaeger is not built: run make jaeger")
    return found


@pytest.fixture(scope="session")
def jaeger(jaeger_binary: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[JaegerServer]:
    """Start a Jaeger that every test shares, in memory, on free loopback ports."""
    with running_jaeger(jaeger_binary, tmp_path_factory.mktemp("jaeger") / "jaeger.log") as server:
        yield server
