"""Legacy runners in this process: their calls are recorded where somebody traces them, and work as before."""

from __future__ import annotations

import asyncio
from typing import Any

import bentoml
import numpy as np
import pytest

from bento_monitor import monitored, monitored_runner
from bento_monitor.integrations.bentoml_legacy import runner as legacy_runner
from bento_monitor.request.entry import Entry
from bento_monitor.tracing.ledger.ledger import Ledger

# BentoML warns of what it has before 1.2, and its import of services is warned of by pathspec.
pytestmark = [
    pytest.mark.filterwarnings("ignore:.*is deprecated since BentoML"),
    pytest.mark.filterwarnings("ignore:GitWildMatchPattern:DeprecationWarning"),
]


class Doubling(bentoml.legacy.Runnable):
    SUPPORTED_RESOURCES = ("cpu",)
    SUPPORTS_CPU_MULTI_THREADING = True

    @bentoml.legacy.Runnable.method(batchable=True)
    def double(self, rows: Any) -> Any:
        if rows is None:
            raise ValueError("no rows")
        return rows * 2


def make_runner() -> Any:
    return bentoml.legacy.Runner(Doubling, name="doubling")


def test_a_runner_stays_the_same_object_of_the_same_kind() -> None:
    runner = make_runner()
    assert monitored_runner(monitored_runner(runner)) is runner
    assert isinstance(runner, bentoml.legacy.Runner)


def test_each_call_is_recorded_with_its_rows_whether_it_waits_or_not(ledger: Ledger) -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert (runner.double.run(np.ones((3, 2))) == 2).all()
    assert (asyncio.run(runner.async_run(np.ones((5, 2)))) == 2).all()
    assert [(call.runner, call.rows, call.span_id) for call in ledger.model_calls] == [
        ("doubling", 3, 0),
        ("doubling", 5, 0),
    ]
    assert all(call.ended_ns >= call.started_ns for call in ledger.model_calls)


def test_a_runner_that_was_started_before_is_recorded_once(ledger: Ledger) -> None:
    runner = make_runner()
    runner.init_local(quiet=True)
    monitored_runner(monitored_runner(runner))
    runner.double.run(np.ones(1))
    assert len(ledger.model_calls) == 1


def test_a_call_that_fails_raises_the_user_s_error_and_is_recorded(ledger: Ledger) -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    with pytest.raises(ValueError, match="no rows"):
        asyncio.run(runner.double.async_run(None))
    assert [call.error_type for call in ledger.model_calls] == ["ValueError"]


def test_a_call_that_nobody_traces_leaves_nothing() -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert runner.double.run(np.ones(1)) == 2


def test_the_hook_steps_aside_where_it_does_not_hold(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_runner, "is_supported", lambda _: False)
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert runner.double.run(np.ones(1)) == 2
    assert not ledger.model_calls


def test_what_is_no_runner_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes a bentoml\.legacy\.Runner, not int"):
        monitored_runner(1)


def test_a_legacy_service_gets_our_entry_whatever_holds(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path))
    service = bentoml.legacy.Service("demo", runners=[make_runner()])
    assert monitored(service) is service
    assert isinstance(service, bentoml.legacy.Service)
    monkeypatch.setattr("bento_monitor.integrations.is_supported", lambda _: False)
    assert isinstance(service.asgi_app, Entry)


def test_nothing_is_monitored_where_that_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_ENABLED", "false")
    service, runner = bentoml.legacy.Service("demo"), make_runner()
    kinds = type(service), type(runner)
    assert (type(monitored(service)), type(monitored_runner(runner))) == kinds
