"""The stages of a finished ledger, in monotonic nanoseconds, each within the request's own time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ... import conventions as names
from .ledger import Ledger, ModelCall


class Interval(NamedTuple):
    """A piece of time, in monotonic nanoseconds; never of negative length."""

    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """How long it lasts."""
        return self.end_ns - self.start_ns

    def clamped(self, start_ns: int, end_ns: int) -> Interval:
        """A piece of time within this one: what of `start_ns` to `end_ns` lies in it, or its nearest edge."""
        start = min(max(start_ns, self.start_ns), self.end_ns)
        return Interval(start, min(max(end_ns, start), self.end_ns))


class Stage(NamedTuple):
    """One stage that a request reached; `name` is its attribute's on the server span."""

    name: str
    interval: Interval


def request_interval(ledger: Ledger) -> Interval:
    """From the request's arrival to the last byte sent, or to the last stamp there is."""
    last_ns = ledger.sent_ns or max(
        ledger.parsed_ns,
        ledger.queued_ns,
        ledger.started_ns,
        ledger.ended_ns,
        ledger.serialize_started_ns,
        ledger.serialized_ns,
        ledger.first_byte_ns,
    )
    return Interval(ledger.received_ns, max(last_ns, ledger.received_ns))


def request_stages(ledger: Ledger) -> list[Stage]:
    """The stages that were reached, in their order. One that was begun and never ended lasts to the request's end."""
    whole = request_interval(ledger)
    # From one stamp to another. What begins with a stamp that ends an earlier stage is left out where that is missing.
    begun = (
        (names.STAGE_SOCKET_WAIT, ledger.received_ns if ledger.first_read_ns else 0, ledger.first_read_ns),
        (names.STAGE_LOOP_WAIT, ledger.first_read_ns if ledger.entered_ns else 0, ledger.entered_ns),
        (names.STAGE_READ, ledger.entered_ns if ledger.read_ns else 0, ledger.read_ns),
        (names.STAGE_PARSE, ledger.read_ns if ledger.parsed_ns else 0, ledger.parsed_ns),
        (names.STAGE_QUEUE, ledger.queued_ns and (ledger.parsed_ns or ledger.queued_ns), _left_queue_ns(ledger)),
        (names.STAGE_ASSEMBLE, ledger.taken_ns if ledger.handed_ns else 0, ledger.handed_ns),
        (names.STAGE_THREAD_WAIT, ledger.handed_ns if ledger.started_ns else 0, ledger.started_ns),
        (names.STAGE_INFER, ledger.started_ns, ledger.ended_ns),
        (names.STAGE_SPLIT, ledger.ended_ns if ledger.serialize_started_ns else 0, ledger.serialize_started_ns),
        (names.STAGE_SERIALIZE, ledger.serialize_started_ns, ledger.serialized_ns),
        (names.STAGE_SEND, ledger.serialized_ns if ledger.first_byte_ns else 0, ledger.first_byte_ns),
        (names.STAGE_STREAM, _stream_start_ns(ledger), ledger.sent_ns),
    )
    stages = []
    reached_ns = whole.start_ns
    last_ns = whole.end_ns
    for name, begun_ns, end_ns in begun:
        if begun_ns:
            # None lies over another, whatever was stamped: so they sum.
            start_ns = min(max(begun_ns, reached_ns), last_ns)
            reached_ns = min(max(end_ns or last_ns, start_ns), last_ns)
            stages.append(Stage(name, Interval(start_ns, reached_ns)))
    return stages


def _left_queue_ns(ledger: Ledger) -> int:
    return ledger.taken_ns if ledger.handed_ns else ledger.started_ns


def _stream_start_ns(ledger: Ledger) -> int:
    """The first byte, where what follows it is no part of the function's own time, as a generator's is."""
    return ledger.first_byte_ns if ledger.first_byte_ns and ledger.first_byte_ns >= ledger.ended_ns else 0


def covered_ns(intervals: Iterable[Interval]) -> int:
    """Length of the union of pieces of time."""
    total = 0
    reached_ns = 0
    for interval in sorted(intervals, key=lambda item: item.start_ns):
        start_ns = max(interval.start_ns, reached_ns)
        if interval.end_ns > start_ns:
            total += interval.end_ns - start_ns
            reached_ns = interval.end_ns
    return total


def unaccounted_ns(ledger: Ledger, stages: Sequence[Stage]) -> int:
    """What of a request's time nothing directly below its server span covers."""
    whole = request_interval(ledger)
    if ledger.batch is not None or not ledger.model_calls or has_infer(stages):
        return whole.duration_ns - sum(interval.end_ns - interval.start_ns for _, interval in stages)
    models = [whole.clamped(call.started_ns, call.ended_ns) for call in ledger.model_calls]
    return whole.duration_ns - covered_ns([*(interval for _, interval in stages), *models])


def has_infer(stages: Iterable[Stage]) -> bool:
    """Whether the user's function was reached; where not, as in a mounted application, model calls are the server's."""
    return any(stage.name == names.STAGE_INFER for stage in stages)


def model_share_ns(ledger: Ledger) -> int | None:
    """A request's part of the time that the model ran for its batches, by rows; None where no runner was called."""
    if ledger.batch is None:
        return _machine_ns(ledger.model_calls) if ledger.model_calls else None
    if not any(batch.model_calls for batch, _ in ledger.batches):
        return None
    return sum(
        _machine_ns(batch.model_calls) * min(rows, batch.rows) // batch.rows if batch.rows else 0
        for batch, rows in ledger.batches
    )


def _machine_ns(calls: Sequence[ModelCall]) -> int:
    return sum(call.ended_ns - call.started_ns for call in calls)
