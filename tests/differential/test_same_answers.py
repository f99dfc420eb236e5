"""The same request gets the same response from stock BentoML and from both of our paths, byte for byte."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from arms import Arm, served
from hypothesis import HealthCheck, Phase, given, settings
from requests_of_kinds import PATHS, Asked, requests
from waiting import wait_until

REQUESTS = int(os.environ.get("DIFFERENTIAL_REQUESTS", "1000"))


@pytest.fixture(scope="module")
def arms(tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Arm]]:
    with served(tmp_path_factory.mktemp("differential")) as found:
        yield found


def compare(arms: list[Arm], asked: Asked) -> None:
    stock, *ours = arms
    expected = stock.ask(asked)
    answers = {arm.name: arm.ask(asked) for arm in ours}
    for name, answer in answers.items():
        assert answer == expected, f"{name}: {asked}"


def test_every_api_except_the_stream_has_a_plan(arms: list[Arm]) -> None:
    _, fast, _ = arms
    (line,) = [line for line in fast.server.log.read_text().splitlines() if "take the fast path" in line]
    assert line.endswith("29 of 30 APIs take the fast path; /stream: it is a stream")


def test_stock_server_does_not_load_bento_monitor(arms: list[Arm]) -> None:
    question = Asked("POST", "/loaded", (), b"")
    assert [arm.ask(question).body for arm in arms] == [b"0", b"1", b"1"]


@settings(
    max_examples=REQUESTS,
    deadline=None,
    database=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)
@given(asked=requests())
def test_generated_requests_get_the_same_responses(arms: list[Arm], asked: Asked) -> None:
    compare(arms, asked)


def test_logs_and_counters_are_the_same(arms: list[Arm]) -> None:
    stock, *ours = arms
    expected = stock.access_lines()
    assert len(expected) >= REQUESTS * 0.9
    for arm in ours:
        arm.wait_for_log(len(expected))
        assert arm.access_lines() == expected
        assert arm.records() == stock.records()
        assert arm.series(PATHS) == stock.series(PATHS)


def test_temporary_folders_are_removed_after_the_response(arms: list[Arm]) -> None:
    for arm in arms:
        arm.connection.close()  # its server has closed it after the idle time; the next request opens another
        for x in range(3):
            arm.ask(Asked("POST", "/context", (("content-type", "application/json"),), b'{"x": %d}' % x))
        wait_until(lambda arm=arm: json.loads(arm.ask(Asked("POST", "/scratch_files", (), b"")).body)[1] == 0)
        assert json.loads(arm.ask(Asked("POST", "/scratch_files", (), b"")).body)[0] > 0
