"""What every test may use, and what none may inherit from the shell it is started in."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import NoReturn

import pytest
from left_out import BUSY

# As many tests may be left out because others use the machine; what is more is a test that should hold there.
MOST_BUSY = 8
_BUSY_KEY = "bento-monitor/left-out-as-busy"
_BUSY_TESTS = pytest.StashKey[list[str]]()


def pytest_addoption(parser: pytest.Parser) -> None:
    """A way to run again what was left out because the machine was busy."""
    parser.addoption(
        "--left-out-as-busy",
        action="store_true",
        help="Only the tests that the last run left out as the machine was busy.",
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Keep those that were left out, where these are asked for."""
    config.stash[_BUSY_TESTS] = []
    if config.getoption("--left-out-as-busy") and getattr(config, "cache", None) is not None:
        wanted = set(config.cache.get(_BUSY_KEY, []))
        config.hook.pytest_deselected(items=[item for item in items if item.nodeid not in wanted])
        items[:] = [item for item in items if item.nodeid in wanted]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    """Note a test that was skipped because others take the processors."""
    report = yield
    if report.skipped and isinstance(report.longrepr, tuple) and BUSY in report.longrepr[2]:
        item.config.stash[_BUSY_TESTS].append(item.nodeid)
    return report


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """Keep their names, and those of tests that did not run now, for another run; fail where they are too many."""
    busy = session.config.stash.get(_BUSY_TESTS, [])
    if getattr(session.config, "cache", None) is not None:
        ran = {item.nodeid for item in getattr(session, "items", ())}
        earlier = [name for name in session.config.cache.get(_BUSY_KEY, []) if name not in ran]
        session.config.cache.set(_BUSY_KEY, [*earlier, *busy])
    no_tests = int(pytest.ExitCode.NO_TESTS_COLLECTED)
    if session.config.getoption("--left-out-as-busy") and exitstatus == no_tests:
        session.exitstatus = pytest.ExitCode.OK  # none was left out
    if len(busy) > MOST_BUSY:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter, config: pytest.Config) -> None:
    """Say which they are."""
    if busy := config.stash.get(_BUSY_TESTS, []):
        terminalreporter.section("left out: others take the processors")
        for name in busy:
            terminalreporter.line(name)
        if len(busy) > MOST_BUSY:
            terminalreporter.line(f"These are more than {MOST_BUSY}, which fails the run.")


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
