"""On a live server with two workers: at each step the expected model serves the requests."""

from __future__ import annotations

import json
import signal
import subprocess
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from live import COMMAND, SERVICE, Live, Place, gather, of_length_8
from scraping import scrape, total
from waiting import wait_until

from bento_monitor.releases.release_record import TensorSpec
from bento_monitor.releases.worker_state import live_workers
from bento_monitor.serving_config import Execution
from bento_monitor.testing import OtlpReceiver


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def test_release_of_old_weights_never_serves_retrained_ones(place: Place) -> None:
    with place.serve() as live:
        assert live.factors() == {2.0: 40}
        first = place.scaling("1", 1000.0, live)
        place.done("promote", first)
        assert live.factors() == {1000.0: 40}
    with place.serve() as live:
        assert live.factors() == {1000.0: 40}
    place.train(embed=5.0)
    with place.serve() as live:
        assert live.factors() == {5.0: 40}
        status = place.run("status", SERVICE)
        assert status.returncode == 1
        assert "made from another model" in status.stdout
        assert "bento-monitor optimize" in status.stdout
        assert "made from another model than the running server's" in place.done("list")

        def shown(metric: str, **labels: str) -> float:
            return total(scrape(live.server), metric, **labels)

        # A worker publishes its counts once a second.
        wait_until(lambda: shown("bento_monitor_release_swaps_total", outcome="refused", reason="model") == 2)
        wait_until(lambda: shown("bento_monitor_release_info", runner="embed", release="own", phase="failed") == 2)
        second = place.scaling("2", 2000.0, live)
        place.done("promote", second)
        assert live.factors() == {2000.0: 40}
        assert place.run("status", SERVICE).returncode == 0
        assert "the service's own model" in place.done("rollback", SERVICE)  # the first belongs to another model
        assert live.factors() == {5.0: 40}
        refused = place.run("promote", first)
        assert refused.returncode == 1
        assert "made from another model" in refused.stderr
        place.done("promote", second)
    with place.serve() as live:
        assert live.factors() == {2000.0: 40}
        place.done("promote", "--own", SERVICE)
        assert live.factors() == {5.0: 40}


def test_two_runners_move_independently_and_a_restart_serves_the_same(place: Place) -> None:
    def factors(live: Live) -> tuple[Counter[float], Counter[float]]:
        return live.factors("embed"), live.factors("rerank")

    with place.serve() as live:
        place.done("promote", place.scaling("a", 1000.0, live))
        place.done("promote", place.scaling("b", 3000.0, live, runner="rerank", api="rerank"))
        assert factors(live) == ({1000.0: 40}, {3000.0: 40})
        place.done("rollback", SERVICE)
        assert factors(live) == ({1000.0: 40}, {3.0: 40})
        active = json.loads(place.done("status", SERVICE, "--json"))["active"]
        assert active["releases"] == {"embed": "wild-release:a"}
        assert active["batching"] == {"embed": {"max_batch_size": 16, "window_ms": 0.0}}
    with place.serve() as live:
        assert factors(live) == ({1000.0: 40}, {3.0: 40})
        place.done("rollback", SERVICE)
        assert factors(live) == ({2.0: 40}, {3.0: 40})


def own_sequences(x: list[list[list[float]]]) -> np.ndarray:
    torch.manual_seed(7)
    lstm = torch.nn.LSTM(2, 3, batch_first=True)
    with torch.inference_mode():
        return lstm(torch.tensor(x))[0][:, -1].numpy()


def test_fallbacks_to_the_own_model_are_served_and_counted(place: Place) -> None:
    with OtlpReceiver() as receiver:
        place.env.update(receiver.environment)
        with place.serve() as live:
            models = live.fingerprints()
            place.done("promote", place.scaling("embed", 1000.0, live))
            lengths = {
                "inputs": (TensorSpec("x", "float32", (None, 8, 2), (2, 8, 2)),),
                "outputs": (TensorSpec("y", "float32", (None, 3), (2, 3)),),
            }
            place.done(
                "promote", place.release("lstm", of_length_8(), "sequences", "sequence", models["sequences"], **lengths)
            )
            rows = {
                "inputs": (TensorSpec("index", "int64", (None,), (2,)),),
                "outputs": (TensorSpec("y", "float32", (None, 1), (2, 1)),),
            }
            place.done("promote", place.release("table", gather(), "table", "look_up", models["table"], **rows))

            eight, twelve = [[[0.1, 0.2]] * 8], [[[0.1, 0.2]] * 12]
            assert live.ask("sequence", 4, x=eight) == [(200, [[7.0, 7.0, 7.0]])] * 4
            for status, answer in live.ask("sequence", 6, x=twelve):
                assert status == 200
                np.testing.assert_allclose(answer, own_sequences(twelve), rtol=1e-5)

            assert live.ask("look_up", 4, index=[2]) == [(200, [[102.0]])] * 4
            assert live.ask("look_up", 5, index=[9]) == [(200, [[3.0]])] * 5  # the graph fails, the model does not

            assert live.factors("search") == {2.0: 40}  # shares the runner of embed, but was never checked
            assert live.factors("embed") == {1000.0: 40}
            # A request that the own model also refuses is the client's error, as without a release.
            assert {status for status, _ in live.ask("embed", 4, x=[[1.0, 2.0, 3.0], [1.0]])} == {500}

            def fallbacks(**labels: str) -> float:
                return total(scrape(live.server), "bento_monitor_release_fallback_total", **labels)

            # A worker publishes its counts once a second.
            wait_until(lambda: fallbacks(runner="embed", release="wild-release:embed", reason="api") == 40)
            wait_until(lambda: fallbacks(runner="sequences", release="wild-release:lstm", reason="shape") == 6)
            wait_until(lambda: fallbacks(runner="table", reason="error") == 5)
            assert fallbacks(runner="embed", reason="shape") == 0
            status = place.done("status", SERVICE)
            assert "calls that the own model ran instead of wild-release:lstm" in status
    models_called = [
        {key.removeprefix("bento_monitor.runner."): value for key, value in span.attributes.items()}
        for span in receiver.spans()
        if span.name == "model"
    ]
    assert all("release" in call for call in models_called)
    of_lengths = Counter(
        (call["release"], call.get("fallback")) for call in models_called if call["name"] == "sequences"
    )
    assert of_lengths == {("wild-release:lstm", None): 4, ("own", "shape"): 6}


def test_other_lengths_use_the_own_model_even_after_a_restart(place: Place) -> None:
    eight, twelve = [[[0.1, 0.2]] * 8], [[[0.1, 0.2]] * 12]

    def check(live: Live, of_length_8: list[list[float]]) -> None:
        for x, expected in ((eight, of_length_8), (twelve, own_sequences(twelve))):
            for status, answer in live.ask("sequence", 12, x=x):
                assert status == 200
                np.testing.assert_allclose(answer, expected, rtol=1e-5)

    with place.serve() as live:
        check(live, own_sequences(eight))
        lengths = {
            "inputs": (TensorSpec("x", "float32", (None, 8, 2), (2, 8, 2)),),
            "outputs": (TensorSpec("y", "float32", (None, 3), (2, 3)),),
        }
        fingerprint = live.fingerprints()["sequences"]
        place.done("promote", place.release("lstm", of_length_8(), "sequences", "sequence", fingerprint, **lengths))
        check(live, [[7.0, 7.0, 7.0]])
    with place.serve() as live:
        check(live, [[7.0, 7.0, 7.0]])
        place.done("rollback", SERVICE)
        check(live, own_sequences(eight))


def test_release_that_kills_its_loader_leaves_the_server_unchanged(place: Place) -> None:
    with place.serve() as live:
        place.done("promote", place.scaling("good", 3000.0, live, runner="rerank", api="rerank"))
        fields = {"execution": Execution("torch", "fp32", 1), "artifact_file": None, "artifact_sha256": None}
        killer = place.release("killer", of_length_8(), "rerank", "rerank", live.fingerprints()["rerank"], **fields)
        (place.project / "kill-the-loader").touch()
        refused = place.run("promote", killer)
        assert refused.returncode == 1, refused.stdout
        assert "died" in refused.stderr
        (place.project / "kill-the-loader").unlink()
        live.wait_until_seen()
        wait_until(lambda: place.run("status", SERVICE).returncode == 0)
        assert live.factors("rerank") == {3000.0: 40}
        assert "put aside: Worker" in place.done("list")
        # The last counts of the killed worker are no longer shown.
        wait_until(lambda: total(scrape(live.server), "bento_monitor_release_info", runner="rerank") == 2)
        assert total(scrape(live.server), "bento_monitor_release_info", runner="rerank", phase="serving") == 2
        assert len(live_workers(place.store.folder)) == 2


def test_weights_reloaded_at_runtime_end_the_release_of_old_ones(place: Place) -> None:
    with place.serve(workers=1) as live:
        place.done("promote", place.scaling("1", 1000.0, live))
        assert live.factors() == {1000.0: 40}
        place.train(embed=9.0)
        live.ask("reload")
        wait_until(lambda: live.factors() == {9.0: 40})
        assert "made from another model" in place.run("status", SERVICE).stdout
        place.done("promote", place.scaling("2", 2000.0, live))
        assert live.factors() == {2000.0: 40}


@pytest.mark.parametrize("setting", ["BENTO_MONITOR_TRACING", "BENTO_MONITOR_FAST_PATH"])
def test_release_serves_the_same_apis_without_tracing_and_on_bentomls_path(place: Place, setting: str) -> None:
    place.env[setting] = "false"
    with place.serve(workers=1) as live:
        place.done("promote", place.scaling("1", 1000.0, live))
        place.done("promote", place.scaling("2", 3000.0, live, runner="rerank", api="rerank"))
        assert live.factors("embed") == {1000.0: 40}
        assert live.factors("search") == {2.0: 40}
        assert live.factors("rerank") == {3000.0: 40}


def test_release_without_fingerprint_or_with_changed_record_is_not_served(place: Place) -> None:
    with place.serve(workers=1) as live:
        name = place.scaling("1", 1000.0, live)
        place.done("promote", name)
        assert live.factors() == {1000.0: 40}
    record = place.folder / "models" / "wild-release" / "1" / "release.json"
    raw = json.loads(record.read_text())
    del raw["model_fingerprint"]
    raw["api"] = raw.pop("apis")[0]  # as in old releases
    record.write_text(json.dumps(raw))
    refused = place.run("promote", name)
    assert refused.returncode == 1
    assert "bento-monitor optimize" in refused.stderr
    with place.serve(workers=1) as live:
        assert live.factors() == {2.0: 40}
        assert "was changed since it was promoted" in place.run("status", SERVICE).stdout
        assert "make a new release with bento-monitor optimize" in place.done("list")


def test_status_watches_until_it_is_interrupted(place: Place) -> None:
    with place.serve(workers=1) as live:
        name = place.scaling("1", 1000.0, live)
        seen = _watching(place, lambda: place.done("promote", name))
    assert "the service's own model" in seen
    assert f"Active: {name}" in seen


def _watching(place: Place, act: Callable[[], object]) -> str:
    output = place.folder / "watch.txt"
    with output.open("w") as file:
        process = subprocess.Popen(
            [COMMAND, "release", "status", SERVICE, "--watch"], env=place.env, stdout=file, stderr=subprocess.STDOUT
        )
        try:
            wait_until(lambda: "Active" in output.read_text())
            act()
            wait_until(lambda: "(change 1, promote)" in output.read_text())
        finally:
            process.send_signal(signal.SIGINT)
            assert process.wait(20) == 130
    return output.read_text()
