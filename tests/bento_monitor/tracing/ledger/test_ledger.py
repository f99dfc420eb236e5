"""The record of a request."""

from __future__ import annotations

import gc
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

from bento_monitor.request.entry import close_ledger
from bento_monitor.tracing.ledger import ledger as module
from bento_monitor.tracing.ledger.ledger import Ledger, ModelCall, ServiceCall

from ..conftest import finished_batch, finished_ledger, model_call

_THREADS, _ROUNDS = 8, 1_000


def test_empty_request_is_one_object_for_the_garbage_collector() -> None:
    ledger = finished_ledger()
    held = [each for each in gc.get_referents(ledger) if gc.is_tracked(each) and not isinstance(each, type)]
    assert held == []


def test_concurrent_calls_on_many_threads_are_all_noted() -> None:
    interval_s = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    barrier = Barrier(_THREADS)
    ledgers = [finished_ledger() for _ in range(_ROUNDS)]

    def note(number: int) -> None:
        for ledger in ledgers:
            barrier.wait()
            ledger.note_model_call(model_call(number, number + 1, 1))

    try:
        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(note, range(_THREADS)))
    finally:
        sys.setswitchinterval(interval_s)
    for ledger in ledgers:
        assert sorted(call.started_ns for call in ledger.model_calls) == list(range(_THREADS))


def test_each_kind_is_noted_separately() -> None:
    batch = finished_batch(2)
    before = len(batch.model_calls)
    call = ServiceCall(1, 2, "Other", "ask", 3, 4, 5, None)
    batch.note_service_call(call)
    batch.note_model_call(model_call(1, 2, 1))
    assert list(batch.service_calls) == [call]
    assert len(batch.model_calls) == before + 1
    assert not batch.held_spans


def test_child_forked_during_a_first_note_can_make_its_own() -> None:
    with module._create_lock:
        pid = os.fork()
        if pid == 0:
            finished_ledger().note_model_call(model_call(1, 2, 1))
            os._exit(0)
    _, status = os.waitpid(pid, 0)
    assert status == 0


def test_closed_record_takes_no_more_notes() -> None:
    ledger = Ledger(trace_id=1, parent_span_id=0, sampled=True, received_ns=1)
    call = ModelCall(1, 2, "m", "torch", "fp32", None, 1)
    ledger.note_model_call(call)
    close_ledger(ledger, 5)
    ledger.note_model_call(call)
    ledger.hold(None)  # type: ignore[arg-type]
    assert (list(ledger.model_calls), list(ledger.held_spans)) == ([call], [])
