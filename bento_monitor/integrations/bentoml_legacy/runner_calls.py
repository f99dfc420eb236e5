"""Calls of a legacy runner, recorded in the request or batch that makes them; recording cannot fail a call."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from random import getrandbits
from typing import Any

from ...backends.row_count import row_count
from ...tracing.context.propagation import batch_span_context_of, call_span, span_context_of
from ...tracing.ledger.ledger import Ledger, ModelCall, traced_work


class RunnerCall:
    """One call of a runner, from its creation to `end`.

    With `is_remote`, another process runs the call and continues its span. `noted` ends the call with the error that
    it raises; within `noted`, the span of a remote call is the current span.
    """

    def __init__(self, runner: str, args: tuple[Any, ...], kwargs: Mapping[str, Any], *, is_remote: bool) -> None:
        self._runner = runner
        self._args, self._kwargs = args, kwargs
        self._span_id = (getrandbits(64) or 1) if is_remote else 0
        self._target = traced_work()
        self._started_ns = time.monotonic_ns()

    @contextmanager
    def noted(self) -> Iterator[None]:
        """Record the call that is made within this context."""
        try:
            with self.context():
                yield
        except BaseException as error:
            self.end(type(error).__qualname__)
            raise
        self.end(None)

    @contextmanager
    def context(self) -> Iterator[None]:
        """Make the call's span the current one, so that the request sent to the runner carries it."""
        if self._target is None or not self._span_id:
            yield
            return
        target = self._target
        parent = span_context_of(target) if isinstance(target, Ledger) else batch_span_context_of(target)
        with call_span(parent, self._span_id):
            yield

    def end(self, error_type: str | None) -> None:
        """Record that the call has ended, with the type of its error, if any."""
        args, kwargs, self._args, self._kwargs = self._args, self._kwargs, (), {}
        if self._target is None:
            return
        self._target.note_model_call(
            ModelCall(
                started_ns=self._started_ns,
                ended_ns=time.monotonic_ns(),
                runner=self._runner,
                backend="runner process" if self._span_id else "runnable",
                precision=None,
                release=None,
                rows=row_count(args, kwargs),
                span_id=self._span_id,
                error_type=error_type,
            )
        )
