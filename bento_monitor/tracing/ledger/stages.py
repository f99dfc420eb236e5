"""The stages of a finished ledger, in monotonic nanoseconds, each within the request's time."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from ... import conventions as names
from .ledger import Ledger, ModelCall


class Interval(NamedTuple):
    """An interval in monotonic nanoseconds; its length is never negative."""

    start_ns: int
    end_ns: int

    @property
    def duration_ns(self) -> int:
        """Length of the interval."""
        return self.end_ns - self.start_ns

    def clamped(self, start_ns: int, end_ns: int) -> Interval:
        """Return the part of `start_ns` to `end_ns` inside this interval; empty if there is none."""
        start = min(max(start_ns, self.start_ns), self.end_ns)
        return Interval(start, min(max(end_ns, start), self.end_ns))


class Stage(NamedTuple):
    """One stage that a request reached; `name` is the attribute's name on the server span."""

    name: str
    interval: Interval


def request_interval(ledger: Ledger) -> Interval:
    """Return the interval from the request's arrival to the last byte sent, or to the last timestamp."""
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
    """Return the stages that were reached, in order. A stage that never ended lasts to the request's end."""
    whole = request_interval(ledger)
    # Name, start and end of each stage; a start of 0 leaves the stage out. A stage that starts where another ends is
    # left out if the timestamp of its own end is missing.
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
            # Stages never overlap, whatever was recorded, so they sum up.
            start_ns = min(max(begun_ns, reached_ns), last_ns)
            reached_ns = min(max(end_ns or last_ns, start_ns), last_ns)
            stages.append(Stage(name, Interval(start_ns, reached_ns)))
    return stages


def _left_queue_ns(ledger: Ledger) -> int:
    return ledger.taken_ns if ledger.handed_ns else ledger.started_ns


def _stream_start_ns(ledger: Ledger) -> int:
    """Return the time of the first byte; 0 if the function still ran then, as a generator does."""
    return ledger.first_byte_ns if ledger.first_byte_ns and ledger.first_byte_ns >= ledger.ended_ns else 0


def covered_ns(intervals: Iterable[Interval]) -> int:
    """Return the length of the union of intervals."""
    total = 0
    reached_ns = 0
    for interval in sorted(intervals, key=lambda item: item.start_ns):
        start_ns = max(interval.start_ns, reached_ns)
        if interval.end_ns > start_ns:
            total += interval.end_ns - start_ns
            reached_ns = interval.end_ns
    return total


def unaccounted_ns(ledger: Ledger, stages: Sequence[Stage]) -> int:
    """Return the part of a request's time that is covered by none of its stages or model calls."""
    whole = request_interval(ledger)
    if ledger.batch is not None or not ledger.model_calls or has_infer(stages):
        return whole.duration_ns - sum(interval.end_ns - interval.start_ns for _, interval in stages)
    models = [whole.clamped(call.started_ns, call.ended_ns) for call in ledger.model_calls]
    return whole.duration_ns - covered_ns([*(interval for _, interval in stages), *models])


def has_infer(stages: Iterable[Stage]) -> bool:
    """Return whether the user's function was reached.

    If not, as in a mounted application, model calls are direct children of the server span.
    """
    return any(stage.name == names.STAGE_INFER for stage in stages)


def model_share_ns(ledger: Ledger) -> int | None:
    """Return a request's share of the model time of its batches, by rows; None if no runner was called."""
    if ledger.batch is None:
        return _model_ns(ledger.model_calls) if ledger.model_calls else None
    if not any(batch.model_calls for batch, _ in ledger.batches):
        return None
    return sum(
        _model_ns(batch.model_calls) * min(rows, batch.rows) // batch.rows if batch.rows else 0
        for batch, rows in ledger.batches
    )


def _model_ns(calls: Sequence[ModelCall]) -> int:
    return sum(call.ended_ns - call.started_ns for call in calls)
