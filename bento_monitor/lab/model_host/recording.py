"""Recording of an API's calls of its model."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from ...backends.arguments import bind_arguments
from ...backends.outputs import flatten_output
from ...backends.own import OwnModel
from ...runner import MonitoredRunner, PreparedModel
from .batches import copy_of
from .state import CapturedCall

# Of the calls in one call of an API, the first ones are kept, then ever fewer: a decoder is called once for each token.
_FIRST_CALLS = 64
_MAX_BYTES_PER_REQUEST = 256 * 2**20


class RecordingModel:
    """The user's own model, with a record of its calls.

    `calls` has the first calls in each call of the API, and of later ones only the 128th, the 256th and so on. Once
    they fill the memory that one call of the API may take, only the second is still added. `seconds` is the time of
    every call.
    """

    def __init__(self, own: OwnModel) -> None:
        self.backend = own.backend
        self.precision = own.precision
        self.calls: list[CapturedCall] = []
        self.seconds = 0.0
        self._own = own
        self._count = 0
        self._bytes = 0

    def begin_request(self) -> None:
        """Begin to record the calls in another call of the API."""
        self._count = self._bytes = 0

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model and record its inputs and outputs."""
        self._count += 1
        is_kept = self._is_kept()
        if is_kept:  # before the call: models may write to their inputs
            copies = tuple(map(copy_of, args)), {name: copy_of(value) for name, value in kwargs.items()}
        started = time.perf_counter()
        output = self._own.run(args, kwargs, method)
        self.seconds += time.perf_counter() - started
        self.last_output = output
        if not is_kept:
            return output
        _, names, arrays = flatten_output(output)
        inputs = bind_arguments(self._own.names, *copies)
        given = dict(zip(names, arrays, strict=True)) if method is None else {method: output}
        self.calls.append(CapturedCall(inputs, given))
        self._bytes += sum(getattr(value, "nbytes", 0) for value in (*inputs.values(), *given.values()))
        return output

    def _is_kept(self) -> bool:
        if self._count <= 2:
            return True
        is_power = self._count & (self._count - 1) == 0
        return (self._count <= _FIRST_CALLS or is_power) and self._bytes < _MAX_BYTES_PER_REQUEST


@contextmanager
def recording(runner: MonitoredRunner) -> Iterator[RecordingModel]:
    """Record the calls of a runner during the block."""
    recorder = RecordingModel(runner.own_model)
    runner.activate(PreparedModel(recorder, None))
    try:
        yield recorder
    finally:
        runner.reset()
