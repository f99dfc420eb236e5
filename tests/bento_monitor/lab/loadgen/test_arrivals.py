from __future__ import annotations

from itertools import islice

import numpy as np
import pytest

from bento_monitor.errors import InputError, MeasurementError
from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.lab.loadgen.arrivals import arrival_times, read_recording

COUNT = 200_000


def gaps(process: str, seed: int = 1):
    times = np.array(list(islice(arrival_times(process, 1000, seed), COUNT)))
    return np.diff(times, prepend=0) / 1e6  # ms: the mean is 1


@pytest.mark.parametrize(("process", "variation"), [("constant", 0.0), ("poisson", 1.0), ("bursty", 4.0)])
def test_gaps_have_the_mean_and_the_variation_of_their_process(process, variation):
    found = gaps(process)
    assert found.mean() == pytest.approx(1, abs=5 * np.sqrt(variation / COUNT) + 1e-9)
    assert found.var() == pytest.approx(variation, rel=0.05, abs=1e-9)


@pytest.mark.parametrize("process", ["poisson", "bursty"])
def test_seed_determines_the_times(process):
    assert (gaps(process) == gaps(process)).all()
    assert (gaps(process) != gaps(process, seed=2)).any()


def test_recording_starts_immediately_and_is_in_order(tmp_path):
    file = tmp_path / "arrivals"
    file.write_text("1700000000.5\n1700000000.25\n1700000001.0\n")
    assert read_recording(file) == [0, 250_000_000, 750_000_000]


@pytest.mark.parametrize("text", ["", "soon\n", "1 2\n3 4\n", "nan\n"])
def test_file_that_is_not_a_recording_is_refused(tmp_path, text):
    file = tmp_path / "arrivals"
    file.write_text(text)
    with pytest.raises(InputError, match="the time of one request, in seconds"):
        read_recording(file)


def test_missing_recording_is_refused(tmp_path):
    with pytest.raises(InputError, match="no recorded arrivals"):
        read_recording(tmp_path / "none")


def test_recorded_load_sends_requests_at_their_times_and_then_ends(stub, tmp_path):
    file = tmp_path / "arrivals"
    file.write_text("0\n0.01\n0.05\n0.05\n0.2\n")
    result = run_load(
        LoadSpec(
            port=stub.port, path="/f", bodies=(b"{}",), mode="open", connections=1, arrivals="recorded", recording=file
        )
    )
    assert ((result.planned_ns - result.started_ns) // 1_000_000).tolist() == [0, 10, 50, 50, 200]
    assert (result.status == 200).all()


def test_load_from_a_file_that_is_not_a_recording_is_refused(stub, tmp_path):
    spec = LoadSpec(
        port=stub.port,
        path="/f",
        bodies=(b"{}",),
        mode="open",
        arrivals="recorded",
        recording=tmp_path / "none",
    )
    with pytest.raises(MeasurementError, match="no recorded arrivals"):
        run_load(spec)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"arrivals": "recorded"}, "give recording for recorded arrivals"),
        ({"arrivals": "recorded", "rate_rps": 1.0}, "have no rate_rps"),
        ({"arrivals": "bursty"}, "needs rate_rps"),
    ],
)
def test_invalid_arrivals_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        LoadSpec(port=1, path="/", bodies=(b"{}",), mode="open", **changes)


def test_recording_without_recorded_arrivals_is_refused(tmp_path):
    with pytest.raises(InputError, match="give recording for recorded arrivals"):
        LoadSpec(port=1, path="/", bodies=(b"{}",), mode="open", rate_rps=1.0, recording=tmp_path / "arrivals")
