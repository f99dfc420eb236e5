"""Each hook into BentoML switched off in turn, then all: responses equal to stock BentoML's, and lawful traces."""

from __future__ import annotations

import json
import subprocess
import sys
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import get_args

import pytest
from arms import Answered, Arm
from hook_arms import EVERY, Service

from bento_monitor.integrations import check_hooks
from bento_monitor.lab.server.process import start_server
from bento_monitor.settings import Hook, read_settings
from bento_monitor.testing import OtlpReceiver, find_violations

RECORDER = Path(__file__).parent / "recorder"
# Without these, by decision 1, the caller has no span for a call of another service or runner.
WITHOUT_CALL_SPANS = ("client_calls", "legacy_runner", "all")
CASES = [(service, hook) for service in EVERY for hook in (*service.entered, "all")]


@cache
def never_on() -> set[str]:
    """Return the hooks that are never enabled on the installed BentoML, which may be an earlier version than ours."""
    command = [str(Path(sys.executable).with_name("bento-monitor")), "doctor", "--json"]
    hooks = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)["hooks"]
    return {hook["name"] for hook in hooks if not hook["is_enabled"]}


@contextmanager
def arm_of(service: Service, home: Path, *, is_ours: bool, env: dict[str, str]) -> Iterator[Arm]:
    home.mkdir(parents=True)
    with start_server(service.spec(home, is_ours=is_ours, env=env)) as server:
        arm = Arm("ours" if is_ours else "stock", server)
        yield arm
        arm.connection.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hooks")


@pytest.fixture(scope="module")
def expected(home: Path) -> Callable[[str], list[Answered]]:
    @cache
    def of(target: str) -> list[Answered]:
        service = next(each for each in EVERY if each.target == target)
        with arm_of(service, home / f"stock-{target.partition(':')[0]}", is_ours=False, env={}) as arm:
            return [service.ask(arm, asked) for asked in service.asked]

    return of


def test_every_hook_has_a_case() -> None:
    hooks = {hook for service in EVERY for hook in service.entered}
    assert hooks == {status.name for status in check_hooks()} == set(get_args(Hook))


def test_unknown_hook_is_refused_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BENTO_MONITOR_HOOKS_OFF", "dispatchr,threads")
    settings, (problem,) = read_settings()
    assert (settings.hooks_off, problem.is_refused) == ((), True)
    assert "'dispatcher'" in problem.text
    monkeypatch.setenv("BENTO_MONITOR_HOOKS_OFF", " threads, all ")
    assert read_settings()[0].hooks_off == ("threads", "all")


@pytest.mark.parametrize("service", EVERY, ids=lambda service: service.target)
def test_requests_enter_every_enabled_hook(service: Service, home: Path) -> None:
    folder = home / f"called-{service.target.partition(':')[0]}"
    env = {"PYTHONPATH": str(RECORDER), "CALLED": str(folder / "called")}
    with arm_of(service, folder, is_ours=True, env=env) as arm:
        for asked in service.asked:
            service.ask(arm, asked)
    called = set((folder / "called").read_text().split("\n"))
    assert {hook for hook, name in service.entered.items() if name not in called} == never_on() & service.entered.keys()


@pytest.mark.parametrize(("service", "hook"), CASES, ids=lambda value: getattr(value, "target", value))
def test_without_a_hook_responses_equal_stocks_and_traces_are_lawful(
    service: Service, hook: str, home: Path, expected: Callable[[str], list[Answered]]
) -> None:
    folder = home / f"off-{service.target.partition(':')[0]}-{hook}"
    with OtlpReceiver() as receiver:
        env = {**receiver.environment, "BENTO_MONITOR_HOOKS_OFF": hook, "BENTO_MONITOR_TRACE_RATE_LIMIT": "0"}
        with arm_of(service, folder, is_ours=True, env=env) as arm:
            answers = [service.ask(arm, asked) for asked in service.asked]
            with urllib.request.urlopen(f"{arm.server.base_url}/metrics", timeout=10) as response:
                metrics = response.read().decode()
        spans = receiver.spans()
    stock = expected(service.target)
    different = [
        (asked, ours, theirs)
        for asked, ours, theirs in zip(service.asked, answers, stock, strict=True)
        if ours != theirs
    ]
    assert different == []
    assert find_violations(spans, have_calls_spans=hook not in WITHOUT_CALL_SPANS) == []
    assert sum(span.kind == "SERVER" for span in spans) >= len(service.asked)
    shown = [line for line in metrics.splitlines() if line.startswith("bento_monitor_hook_enabled{")]
    off = {line.split('hook="')[1].split('"')[0] for line in shown if line.endswith(" 0.0")}
    assert off == ({status.name for status in check_hooks()} if hook == "all" else {hook} | never_on())
    assert (folder / "log").read_text().count("Hooks disabled: ") >= 1
