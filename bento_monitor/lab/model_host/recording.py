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


class RecordingModel:
    """The user's own model, with a record of each call."""

    def __init__(self, own: OwnModel) -> None:
        self.backend = own.backend
        self.precision = own.precision
        self.calls: list[CapturedCall] = []
        self.seconds = 0.0
        self._own = own

    def run(self, args: tuple[Any, ...], kwargs: Mapping[str, Any], method: str | None = None) -> Any:
        """Call the model and record its inputs and outputs."""
        copies = tuple(map(copy_of, args)), {name: copy_of(value) for name, value in kwargs.items()}  # models may write
        started = time.perf_counter()
        output = self._own.run(args, kwargs, method)
        self.seconds += time.perf_counter() - started
        _, names, arrays = flatten_output(output)
        inputs = bind_arguments(self._own.names, *copies)
        given = dict(zip(names, arrays, strict=True)) if method is None else {method: output}
        self.calls.append(CapturedCall(inputs, given))
        self.last_output = output
        return output


@contextmanager
def recording(runner: MonitoredRunner) -> Iterator[RecordingModel]:
    """Record the calls of a runner during the block."""
    recorder = RecordingModel(runner.own_model)
    runner.activate(PreparedModel(recorder, None))
    try:
        yield recorder
    finally:
        runner.reset()
