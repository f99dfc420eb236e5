"""Ledgers in the state in which the entry and the dispatcher leave them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from bento_monitor.tracing.ledger.ledger import BatchRecord, Ledger, ModelCall

MS = 1_000_000


def finished_ledger(received_ns: int = 10 * MS, *, sampled: bool = True) -> Ledger:
    ledger = Ledger(trace_id=received_ns + 1, parent_span_id=0, sampled=sampled, received_ns=received_ns)
    ledger.method, ledger.route, ledger.api, ledger.status = "POST", "/encode", "encode", 200
    ledger.first_read_ns = ledger.entered_ns = ledger.read_ns = received_ns
    ledger.parsed_ns = received_ns + 1 * MS
    ledger.queued_ns = received_ns + 2 * MS
    ledger.started_ns = received_ns + 5 * MS
    ledger.ended_ns = received_ns + 9 * MS
    ledger.serialize_started_ns = received_ns + 9 * MS
    ledger.serialized_ns = received_ns + 10 * MS
    ledger.sent_ns = received_ns + 12 * MS
    return ledger


def model_call(started_ns: int, ended_ns: int, rows: int) -> ModelCall:
    return ModelCall(started_ns, ended_ns, "encoder", "onnxruntime", "fp32", "release-1", rows)


class BatchOfLedgers(BatchRecord):
    """A batch record that knows its requests, for the tests."""

    members: tuple[Ledger, ...]


def finished_batch(
    size: int,
    received_ns: int = 10 * MS,
    *,
    sampled: Callable[[int], bool] = lambda i: True,
    is_over: bool = True,
):
    """Return a batch and its requests; requests of a finished batch have left it, as when `Telemetry` takes them."""
    members = tuple(finished_ledger(received_ns + index, sampled=sampled(index)) for index in range(size))
    started_ns = received_ns + 5 * MS
    record = BatchOfLedgers("encode", members, size, started_ns)
    record.members = members
    record.ended_ns = received_ns + 9 * MS
    record.note_model_call(model_call(started_ns + MS, record.ended_ns - MS, size))
    for position, member in enumerate(members):
        member.started_ns, member.ended_ns = record.started_ns, record.ended_ns
        member.join(record, position, 1)
        if is_over:
            record.leave(member)
    return record


@pytest.fixture(name="finished_ledger")
def finished_ledger_fixture():
    return finished_ledger


@pytest.fixture(name="finished_batch")
def finished_batch_fixture():
    return finished_batch


@pytest.fixture(name="model_call")
def model_call_fixture():
    return model_call
