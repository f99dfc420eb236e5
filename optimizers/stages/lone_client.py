"""The latency of a lone client relative to the baseline: what a window or fewer threads cost such a client."""

from __future__ import annotations

from statistics import median

from bento_monitor.errors import MeasurementError
from bento_monitor.lab.loadgen import LoadSpec, run_load

from ..accuracy.sameness import AnswerCheck
from ..measurement.load import StudyLoad, latencies_us, measure_spec
from ..measurement.server import TrialServer

_MIN_S = 0.4
_MIN_ANSWERS = 8
_SETTLE_S = 0.2


class LoneClient:
    """Measures the baseline's server, which has no other load, and a candidate's server immediately afterwards."""

    def __init__(self, load: StudyLoad, baseline: TrialServer, check: AnswerCheck) -> None:
        self._load = load
        self._baseline = baseline
        self._check = check
        run_load(load.warm_up_alone(baseline.port))
        self.baseline_p50_ms = _p50_ms(load.alone_for(baseline.port, _MIN_ANSWERS), check)
        self._duration_s = max(_MIN_S, _MIN_ANSWERS * self.baseline_p50_ms / 1000)

    def ratio(self, port: int, check: AnswerCheck) -> float:
        """Return the median latency of the server on a port, divided by the baseline's.

        Raises:
            MeasurementError: an answer was wrong, or there was none.
        """
        baseline_ms = _p50_ms(self._load.alone(self._baseline.port, self._duration_s, _SETTLE_S), self._check)
        return _p50_ms(self._load.alone(port, self._duration_s, _SETTLE_S), check) / baseline_ms


def _p50_ms(spec: LoadSpec, check: AnswerCheck) -> float:
    latencies = latencies_us(measure_spec(spec, check))
    if not latencies:
        raise MeasurementError("A lone client got no answer, so there is no latency to compare.")
    return median(latencies) / 1000
