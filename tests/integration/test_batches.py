"""Batches in a real server: each request gets the same response as alone, on both paths."""

from __future__ import annotations

import http.client
import json
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from waiting import requests_in_progress, wait_until

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec

SERVICES = Path(__file__).parent / "services"


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    value: Any


@dataclass
class Batches:
    """The server, and the folder in which its functions wait for their gates."""

    server: ServerProcess
    folder: Path

    def ask(self, api: str, body: dict[str, Any], headers: dict[str, str] | None = None) -> Answer:
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=30)
        connection.request("POST", f"/{api}", json.dumps(body), {"content-type": "application/json", **(headers or {})})
        response = connection.getresponse()
        answer = Answer(response.status, response.headers, json.loads(response.read()))
        connection.close()
        return answer

    def ask_in_one_batch(self, api: str, asked: list[tuple[dict[str, Any], dict[str, str]]]) -> list[Answer]:
        """Hold the API's threads with two requests, send the others, and open the gate when all of them wait."""
        with ThreadPoolExecutor(len(asked) + 2) as pool:
            held = [pool.submit(self.ask, api, *asked[0])]
            wait_until((self.folder / f"{api}.entered").exists)
            held.append(pool.submit(self.ask, api, *asked[0]))
            wait_until(lambda: requests_in_progress(self.server, f"/{api}") == 2)
            found: list[Future[Answer]] = [pool.submit(self.ask, api, *each) for each in asked]
            wait_until(lambda: requests_in_progress(self.server, f"/{api}") == len(asked) + 2)
            (self.folder / f"{api}.open").touch()
            for each in held:
                each.result()
            return [each.result() for each in found]

    def notes(self) -> Counter[str]:
        path = self.folder / "notes"
        return Counter(path.read_text().splitlines() if path.exists() else [])


@pytest.fixture(scope="module", params=["true", "false"], ids=["fast path", "BentoML's path"])
def batches(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Batches]:
    home = tmp_path_factory.mktemp("batches")
    spec = ServerSpec(
        target="batches:Batches",
        working_dir=SERVICES,
        env={
            "BENTO_MONITOR_HOME": str(home / "monitor"),
            "BENTO_MONITOR_FAST_PATH": request.param,
            "BATCHES_FOLDER": str(home),
        },
        home=home / "bentoml",
    )
    with start_server(spec) as server:
        yield Batches(server, home)


def test_effects_on_ctx_apply_to_each_request_of_the_batch(batches: Batches) -> None:
    tones = ["hello", "hello", "hello", "goodbye", "goodbye"]
    asked = [({"names": [f"n{i}"]}, {"x-tone": tone}) for i, tone in enumerate(tones)]
    answers = batches.ask_in_one_batch("greet", asked)
    for i, (tone, answer) in enumerate(zip(tones, answers, strict=True)):
        assert (answer.status, answer.value) == (201, [f"{tone} n{i}"])
        assert answer.headers["x-greeted-in"] == tone
        assert answer.headers["set-cookie"].startswith(f"tone={tone}")
    # The two held requests also say hello.
    wait_until(lambda: batches.notes()["after hello"] + batches.notes()["after goodbye"] == 7)
    assert batches.notes()["after goodbye"] == 2
    assert batches.notes()["greet 3"] == 1
    assert batches.notes()["greet 2"] == 1


@pytest.mark.parametrize(
    ("api", "statuses"), [("isolated", [200, 200, 500, 200]), ("rows", [200, 200, 500, 200]), ("whole", [500] * 4)]
)
def test_failure_in_a_batch_follows_the_setting_of_the_api(batches: Batches, api: str, statuses: list[int]) -> None:
    answers = batches.ask_in_one_batch(api, [({"xs": [x]}, {}) for x in (1, 2, 13, 4)])
    assert [answer.status for answer in answers] == statuses
    assert [answer.value for answer in answers if answer.status == 200] == [[2], [4], [8]][: statuses.count(200)]


def test_two_batches_run_at_once_and_abandoned_requests_are_not_computed(batches: Batches) -> None:
    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(batches.ask, "both", {"xs": [1]})]
        wait_until(lambda: batches.notes()["both [1]"] == 1)
        running.append(pool.submit(batches.ask, "both", {"xs": [2]}))
        wait_until(lambda: batches.notes()["both [2]"] == 1)
        late = pool.submit(batches.ask, "both", {"xs": [3]})
        gone = http.client.HTTPConnection("127.0.0.1", batches.server.port, timeout=30)
        gone.request("POST", "/both", json.dumps({"xs": [4]}), {"content-type": "application/json"})
        wait_until(lambda: requests_in_progress(batches.server, "/both") == 4)
        gone.close()
        assert [each.result().status for each in (*running, late)] == [504] * 3
    (batches.folder / "both.open").touch()
    assert batches.ask("both", {"xs": [5]}).value == [5]
    assert batches.notes()["both [3]"] + batches.notes()["both [4]"] + batches.notes()["both [3, 4]"] == 0


def test_batch_of_bentomls_own_dispatcher_belongs_to_no_request(tmp_path: Path) -> None:
    spec = ServerSpec(
        target="own_dispatcher:OwnDispatcher",
        working_dir=SERVICES,
        as_="monitored",
        env={"BENTO_MONITOR_HOOKS_OFF": "dispatcher", "BENTO_MONITOR_HOME": str(tmp_path)},
    )
    with start_server(spec) as server:
        batches = Batches(server, tmp_path)
        # The dispatcher's task is made by the first request, and would have its context.
        assert [batches.ask("ids", {"rows": [1, 2]}).value for _ in range(2)] == [["none"] * 2] * 2
