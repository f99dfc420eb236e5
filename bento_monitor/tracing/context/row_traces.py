"""The trace of each row of a running batch, for what a service writes about single rows, such as an audit log."""

from __future__ import annotations

from ..ledger.ledger import current_batch, current_ledger


def request_trace_ids() -> list[str | None]:
    """Return the trace id of each row's request: one for each row of the running batch, in the order of the rows.

    Outside of a batch, the list has one id, that of the current request; it is empty if there is no request, or if it
    is not monitored. An id has 32 hexadecimal digits; it is None for rows of a request that is not monitored. In a
    batch, the current span is that of the batch, which has a trace of its own if it has several requests.

    Call it in the API's function, not in a thread that the function starts.

    Examples:
        >>> request_trace_ids()  # no request is running
        []
    """
    batch = current_batch.get()
    if batch is not None:
        return [_hex(trace_id) for trace_id, rows in batch.row_traces for _ in range(rows)]
    ledger = current_ledger.get()
    if ledger is None or ledger.is_closed:  # BentoML's own dispatcher runs batches in the context of an ended request
        return []
    return [_hex(ledger.trace_id)]


def _hex(trace_id: int) -> str | None:
    return f"{trace_id:032x}" if trace_id else None
