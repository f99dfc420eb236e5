from __future__ import annotations

import threading
import time

import pytest

from bento_monitor import conventions as names
from bento_monitor.metrics.request_metrics import Levels, RequestMetrics, _cpu_clock_of
from bento_monitor.tracing.ledger.ledger import BatchRecord, Ledger, ModelCall


class Clock:
    """The clock of a device call with a given duration, or of a failed one."""

    def __init__(self, elapsed_ns):
        self._elapsed_ns = elapsed_ns

    def elapsed_ns(self):
        if self._elapsed_ns is None:
            raise RuntimeError("CUDA error: the device was lost")
        return self._elapsed_ns


class Sink:
    def __init__(self):
        self.seen = []

    def start(self):
        pass

    def observe(self, metric, labels, values, exemplar):
        if metric == names.METRIC_MODEL_GPU:
            self.seen.append((labels, values.tolist()))

    def show(self, levels, thread_cpu_s):
        pass

    def stop(self):
        pass


def ledger():
    made = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    made.first_read_ns = made.entered_ns = made.read_ns = made.parsed_ns = made.sent_ns = 1
    return made


def call(runner, clock):
    return ModelCall(1, 2, runner, "torch", None, None, 1, clock=clock)


def test_gpu_time_is_counted_for_each_call_of_requests_and_batches():
    sink = Sink()
    metrics = RequestMetrics([sink], lambda: Levels(0, {}, 0, 0, {}))
    metrics.start()
    alone, batch = ledger(), BatchRecord("f", [ledger()], 1, 1)
    for each in (call("a", Clock(2_000_000)), call("b", Clock(None)), call("c", None)):
        alone.note_model_call(each)
    batch.note_model_call(call("b", Clock(5_000_000)))
    metrics.note(alone)
    metrics.note_batch(batch)
    metrics.stop()
    assert sink.seen == [(("a",), [pytest.approx(0.002)]), (("b",), [pytest.approx(0.005)])]


def test_clock_of_an_ended_thread_raises_an_error():
    busy = threading.Thread(target=lambda: sum(range(1_000_000)))
    busy.start()
    native_id = busy.native_id
    assert native_id is not None
    assert time.clock_gettime(_cpu_clock_of(threading.get_native_id())) == pytest.approx(time.thread_time(), rel=0.2)
    busy.join()

    def read_until_the_kernel_has_let_go_of_it():
        while True:
            time.clock_gettime(_cpu_clock_of(native_id))

    with pytest.raises(OSError, match="Invalid argument"):
        read_until_the_kernel_has_let_go_of_it()
