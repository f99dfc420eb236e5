from __future__ import annotations

import asyncio
import gc
import shutil
import threading

import numpy as np
import pytest

from bento_monitor.lab.profiling.probe_notes import read_notes
from bento_monitor.lab.profiling.stage_times import (
    batch_size_between,
    gpu_ms_between,
    read_totals,
    stages_around,
    stages_between,
)
from bento_monitor.worker.probe import CENSUS, THREAD_NAME, count_objects
from bento_monitor.worker.probed import with_probe


async def application(scope, receive, send):
    if scope["type"] == "http":
        await asyncio.sleep(0.01)
        if scope["path"] == "/broken":
            raise LookupError


async def wait_for(condition):
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.05)


@pytest.fixture
def folder(tmp_path):
    """Return the folder of probes, which end when it is removed."""
    before = list(gc.callbacks)
    made = tmp_path / "probes"
    made.mkdir()
    yield made
    gc.callbacks[:] = before
    shutil.rmtree(made)
    for thread in threading.enumerate():
        if thread.name == THREAD_NAME:
            thread.join(10)
            assert not thread.is_alive()


def test_worker_notes_its_collections_lags_objects_and_requests(folder):
    async def serve():
        app = with_probe(application, folder)
        await app({"type": "lifespan"}, None, None)
        await app({"type": "http", "path": "/f"}, None, None)
        with pytest.raises(LookupError):
            await app({"type": "http", "path": "/broken"}, None, None)
        gc.collect()
        (folder / CENSUS).touch()
        await wait_for(lambda: any(notes.census for notes in read_notes(folder).values()))

    asyncio.run(serve())
    (notes,) = read_notes(folder).values()
    assert 2 in notes.pauses[:, 2]
    assert (notes.pauses[:, 1] >= notes.pauses[:, 0]).all()
    assert notes.lags[:, 1].max() > 0
    everything = (0, int(notes.lags[:, 0].max()))
    for path in ("/f", "/broken"):
        requests, total_ns, *stages = notes.served_in(path, *everything)
        assert (requests, total_ns >= 10_000_000, stages) == (1, True, [0, 0, 0])
    assert 0 < notes.cost_us < 1_000


def test_objects_are_counted_by_type_most_common_first():
    class Common:
        pass

    kept = [Common() for _ in range(200_000)]
    (name, count), *_ = count_objects()
    assert name.endswith("Common")
    assert count == len(kept)


METRICS = """
# TYPE bento_monitor_stage_duration_seconds histogram
bento_monitor_stage_duration_seconds_bucket{route="/f",stage="infer",le="+Inf"} COUNT
bento_monitor_stage_duration_seconds_sum{route="/f",stage="infer"} SUM
bento_monitor_stage_duration_seconds_count{route="/f",stage="infer"} COUNT
bento_monitor_stage_duration_seconds_sum{route="/other",stage="infer"} 9
bento_monitor_stage_duration_seconds_count{route="/other",stage="infer"} 9
# TYPE bento_monitor_batch_size histogram
bento_monitor_batch_size_sum{api="f"} 12
bento_monitor_batch_size_count{api="f"} COUNT
"""


def totals(count: int, total_s: float):
    return read_totals(METRICS.replace("COUNT", str(count)).replace("SUM", str(total_s)), "/f")


def test_stages_are_means_of_the_requests_between_two_readings():
    (stage,) = stages_between(totals(2, 1.0), totals(6, 1.2))
    assert (stage.name, stage.requests) == ("infer", 4)
    assert stage.mean_ms == pytest.approx(50)
    (first,) = stages_between(None, totals(6, 1.2))
    assert (first.requests, first.mean_ms) == (6, pytest.approx(200))


def test_stages_without_requests_between_two_readings_are_left_out():
    assert stages_between(totals(6, 1.2), totals(6, 1.2)) == ()
    assert stages_between(None, None) == ()


def test_batch_size_is_requests_divided_by_batches():
    assert batch_size_between(None, totals(4, 1.0)) == 3
    assert batch_size_between(totals(4, 1.0), totals(4, 1.0)) is None
    assert batch_size_between(None, None) is None


def test_bentoml_batches_count_if_there_are_none_of_the_monitor():
    text = """
# TYPE bentoml_service_adaptive_batch_size histogram
bentoml_service_adaptive_batch_size_sum{method_name="f"} 12
bentoml_service_adaptive_batch_size_count{method_name="f"} 3
"""
    stock = read_totals(text, "/f")
    assert batch_size_between(None, stock) == 4
    assert stages_between(None, stock) == ()
    assert batch_size_between(None, read_totals(METRICS.replace("COUNT", "4").replace("SUM", "1") + text, "/f")) == 3


def test_gpu_time_is_divided_by_the_requests_between_two_readings():
    metrics = METRICS.replace("COUNT", "4").replace("SUM", "1.0")
    text = '# TYPE bento_monitor_model_gpu_seconds histogram\nbento_monitor_model_gpu_seconds_sum{runner="r"} VALUE\n'
    before, after = (read_totals(metrics + text.replace("VALUE", value), "/f") for value in ("1.0", "1.5"))
    assert gpu_ms_between(before, after, 100) == pytest.approx(5)
    assert gpu_ms_between(before, before, 100) is None
    assert gpu_ms_between(None, None, 100) is None


def test_metrics_of_another_server_give_no_totals():
    assert read_totals("# TYPE up gauge\nup 1\n", "/f") is None


def test_server_without_stage_metrics_has_two_stages():
    outside, inside = stages_around(np.array([7, 28_000_000, 0, 0, 0]), 10.0)
    assert (outside.mean_ms, inside.mean_ms, inside.requests) == (6.0, 4.0, 7)
    assert stages_around(np.array([7, 28_000_000, 0, 0, 0]), 3.0)[0].mean_ms == 0


def test_application_with_stamped_descriptors_has_a_stage_for_each_and_a_rest():
    found = stages_around(np.array([2, 20_000_000, 2_000_000, 10_000_000, 4_000_000]), 12.0)
    assert {stage.name: stage.mean_ms for stage in found} == {
        "outside the application": 2.0,
        "parse": 1.0,
        "wait and function": 5.0,
        "serialize": 2.0,
        "framework": 2.0,
    }
