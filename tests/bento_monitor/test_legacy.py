"""Legacy runners in this process: traced calls are recorded, and all calls work as before."""

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

# BentoML warns about its API from before 1.2, and pathspec about BentoML's import of services.
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


def test_runner_keeps_its_identity_and_class() -> None:
    runner = make_runner()
    assert monitored_runner(monitored_runner(runner)) is runner
    assert isinstance(runner, bentoml.legacy.Runner)


def test_sync_and_async_calls_are_recorded_with_their_rows(ledger: Ledger) -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert (runner.double.run(np.ones((3, 2))) == 2).all()
    assert (asyncio.run(runner.async_run(np.ones((5, 2)))) == 2).all()
    assert [(call.runner, call.rows, call.span_id) for call in ledger.model_calls] == [
        ("doubling", 3, 0),
        ("doubling", 5, 0),
    ]
    assert all(call.ended_ns >= call.started_ns for call in ledger.model_calls)


def test_runner_started_before_is_recorded_once(ledger: Ledger) -> None:
    runner = make_runner()
    runner.init_local(quiet=True)
    monitored_runner(monitored_runner(runner))
    runner.double.run(np.ones(1))
    assert len(ledger.model_calls) == 1


def test_failing_call_raises_the_users_error_and_is_recorded(ledger: Ledger) -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    with pytest.raises(ValueError, match="no rows"):
        asyncio.run(runner.double.async_run(None))
    assert [call.error_type for call in ledger.model_calls] == ["ValueError"]


def test_untraced_call_leaves_no_record() -> None:
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert runner.double.run(np.ones(1)) == 2


def test_unsupported_hook_is_not_used(ledger: Ledger, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(legacy_runner, "is_supported", lambda _: False)
    runner = monitored_runner(make_runner())
    runner.init_local(quiet=True)
    assert runner.double.run(np.ones(1)) == 2
    assert not ledger.model_calls


def test_object_that_is_not_a_runner_is_refused() -> None:
    with pytest.raises(TypeError, match=r"takes a bentoml\.legacy\.Runner, not int"):
        monitored_runner(1)


def test_legacy_service_gets_the_entry_even_without_hooks(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    monkeypatch.setenv("BENTO_MONITOR_HOME", str(tmp_path))
    service = bentoml.legacy.Service("demo", runners=[make_runner()])
    assert monitored(service) is service
    assert isinstance(service, bentoml.legacy.Service)
    monkeypatch.setattr("bento_monitor.integrations.is_supported", lambda _: False)
    assert isinstance(service.asgi_app, Entry)


def test_nothing_is_monitored_if_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_ENABLED", "false")
    service, runner = bentoml.legacy.Service("demo"), make_runner()
    kinds = type(service), type(runner)
    assert (type(monitored(service)), type(monitored_runner(runner))) == kinds
