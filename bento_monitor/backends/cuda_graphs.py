"""CUDA graphs: a GPU is given all kernels of a call at once, in place of one after another by the host.

The host launches the kernels of a small model more slowly than a GPU runs them. A graph holds the kernels of a call for
fixed shapes and fixed memory; so a call is padded to the next larger shape that has a graph, its inputs are copied into
the graph's memory, and its outputs are copied out.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import Any, Protocol

from ..errors import ReleaseError
from ..releases.release_record import TensorSpec
from ._base import Backend
from .call_shape import CallShape, require_rows, shape_of, varying_axes

logger = logging.getLogger(__name__)

_WARM_UP_CALLS = 2  # libraries choose their kernels in the first calls, which cannot be captured
_LEAST_FREE_SHARE = 0.1
_MOST_GRAPHS = 256
_LEAST_LENGTH = 16
_GIB = 2**30


@dataclass(frozen=True, slots=True)
class Captured:
    """A captured call: `replay` computes it anew from the same inputs' memory into the same outputs' memory."""

    replay: Callable[[], None]
    outputs: Sequence[Any]


class Capturer(Protocol):
    """Captures calls on a device."""

    device: Any

    def memory(self) -> tuple[int, int]:
        """Return the free and the total memory of the device, in bytes."""

    def capture(self, call: Callable[[], list[Any]]) -> Captured:
        """Warm a call up and capture it, beside calls of other threads."""

    def follow(self) -> None:
        """Let what this thread starts next wait on the device for what was started after the last `follow`."""


class CudaCapturer:
    """Captures on a stream of its own, into one pool of memory."""

    def __init__(self, device: Any) -> None:
        """Use a CUDA device."""
        import torch

        self.device = device
        self._stream: Any = torch.cuda.Stream(device)  # type: ignore[no-untyped-call]
        self._pool = torch.cuda.graph_pool_handle()
        self._last_stream: Any = None

    def memory(self) -> tuple[int, int]:
        """Return the free and the total memory of the device, in bytes."""
        import torch

        free, total = torch.cuda.mem_get_info(self.device)
        return free, total

    def capture(self, call: Callable[[], list[Any]]) -> Captured:
        """Warm a call up and capture it; calls of other threads go on, since only this thread's may not allocate.

        `torch.cuda.graph` would wait for the whole device and empty its cache of memory, which others use.
        """
        import torch

        with torch.cuda.device(self.device):
            self._stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self._stream):
                for _ in range(_WARM_UP_CALLS):
                    call()
                self._stream.synchronize()
                graph = torch.cuda.CUDAGraph()
                graph.capture_begin(pool=self._pool, capture_error_mode="thread_local")
                try:
                    outputs = call()
                finally:
                    graph.capture_end()
        return Captured(graph.replay, outputs)

    def follow(self) -> None:
        """Wait on the device, not in this thread; calls on one stream, the usual case, are in order by themselves."""
        import torch

        current = torch.cuda.current_stream(self.device)
        if self._last_stream is not None and current != self._last_stream:
            current.wait_stream(self._last_stream)
        self._last_stream = current


def capturer_for(device: Any) -> Capturer:
    """Return a capturer for a torch device.

    Raises:
        ReleaseError: it is no CUDA device.
    """
    if device is None or device.type != "cuda":
        raise ReleaseError(f"CUDA graphs need a model on a GPU, and its weights are on {device or 'no device'}.")
    return CudaCapturer(device)


class CudaGraphs:
    """Replays another backend's calls, one at a time; a call that has no graph is run by that backend itself."""

    def __init__(
        self,
        backend: Backend,
        capturer: Capturer,
        mask_input: str | None,
        *,
        inputs: Sequence[TensorSpec],
        outputs: Sequence[TensorSpec],
        weights: Sequence[Any],
        is_strict: bool = False,
    ) -> None:
        """Capture calls of `backend`, whose `weights` are kept, because graphs know them by their address.

        With `is_strict`, a call whose graph cannot be captured raises ReleaseError.

        Raises:
            ReleaseError: calls cannot be padded, because rows are not separate, or no mask tells padding from data.
        """
        require_rows("CUDA graphs", (*inputs, *outputs))
        self._varying = varying_axes(inputs)
        has_lengths = any(self._varying.values())
        if has_lengths and mask_input not in self._varying:
            raise ReleaseError("CUDA graphs of inputs of unequal length need a mask, which tells padding from data.")
        for spec in outputs:
            if None in spec.shape[1:]:
                raise ReleaseError(f"CUDA graphs need outputs of one length; {spec.name} has the shape {spec.shape}.")
        self._backend = backend
        self._weights = [weight.detach() for weight in weights]
        self._capturer = capturer
        self._mask_input = mask_input if has_lengths else None
        self._is_strict = is_strict
        self._specs = {spec.name: spec for spec in inputs}
        self._graphs: dict[CallShape, _Graph | None] = {}
        self._capturing, self._replaying = Lock(), Lock()

    def prepare(self, most: CallShape) -> None:
        """Capture the graphs of all shapes up to one.

        Raises:
            ReleaseError: the largest cannot be captured.
        """
        lengths = [None] if most.length is None or self._mask_input is None else _lengths_up_to(most.length)
        rows = 1
        while rows < 2 * most.rows:
            for length in lengths:
                self._graph(padded(CallShape(rows, length)))
            rows *= 2
        largest = padded(CallShape(most.rows, lengths[-1]))
        if self._graphs[largest] is None:
            self._graphs[largest] = self._capture(largest)  # says why not

    def run(self, inputs: Mapping[str, Any]) -> list[Any]:
        """Replay the graph of the inputs' shape, captured in the first call of that shape."""
        shape = shape_of(inputs, self._varying)
        graph = None if shape is None else self._graph(padded(shape))
        if graph is None or shape is None:
            return self._backend.run(inputs)
        with self._replaying:
            self._capturer.follow()
            return graph.replay(inputs, shape)

    def _graph(self, shape: CallShape) -> _Graph | None:
        if shape in self._graphs:
            return self._graphs[shape]
        with self._capturing:
            if shape not in self._graphs:
                try:
                    self._graphs[shape] = self._capture(shape)
                except ReleaseError as error:
                    if self._is_strict:
                        raise
                    self._graphs[shape] = None
                    logger.warning("Calls of up to %s run without a CUDA graph: %s", _words(shape), error)
            return self._graphs[shape]

    def _capture(self, shape: CallShape) -> _Graph:
        free, total = self._capturer.memory()
        if free < _LEAST_FREE_SHARE * total:
            raise ReleaseError(
                f"the GPU has {free / _GIB:.1f} of {total / _GIB:.1f} GiB of memory free, less than "
                f"{_LEAST_FREE_SHARE:.0%}, and each graph takes some."
            )
        if sum(graph is not None for graph in self._graphs.values()) >= _MOST_GRAPHS:
            raise ReleaseError(f"there are {_MOST_GRAPHS} graphs already.")
        inputs = {name: self._buffer(spec, shape) for name, spec in self._specs.items()}
        graph = _Graph(inputs, self._varying, self._mask_input)
        graph.pad(rows=0)
        try:
            graph.captured = self._capturer.capture(lambda: self._backend.run(inputs))
        except Exception as error:  # such as a value that the host reads from the GPU in the midst of the call
            raise ReleaseError(f"the call cannot be captured: {error!r:.300}") from error
        return graph

    def _buffer(self, spec: TensorSpec, shape: CallShape) -> Any:
        import torch

        longest = shape.length or 0
        lengths = [shape.rows, *(longest if length is None else length for length in spec.shape[1:])]
        return torch.zeros(lengths, dtype=getattr(torch, spec.dtype), device=self._capturer.device)


class _Graph:
    """A graph with the memory of its inputs and outputs."""

    def __init__(self, inputs: Mapping[str, Any], varying: Mapping[str, Sequence[int]], mask_input: str | None) -> None:
        self._inputs = inputs
        self._varying = varying
        self._mask_input = mask_input
        self.captured = Captured(lambda: None, ())

    def pad(self, rows: int) -> None:
        """Give the rows after `rows` a mask of one token, or the length 1: a mean over none would be NaN."""
        if self._mask_input is not None:
            given = self._inputs[self._mask_input][rows:]
            (given if given.ndim == 1 else given[:, 0]).fill_(1)

    def replay(self, inputs: Mapping[str, Any], shape: CallShape) -> list[Any]:
        for name, buffer in self._inputs.items():
            region = buffer[: shape.rows]
            for axis in self._varying[name]:
                region = region.narrow(axis, 0, int(shape.length or 0))
            if region.shape != buffer.shape:
                buffer.zero_()  # of what an earlier call left
            region.copy_(inputs[name], non_blocking=True)
        self.pad(shape.rows)
        self.captured.replay()
        return [output[: shape.rows].clone() for output in self.captured.outputs]


def padded(shape: CallShape) -> CallShape:
    """Return the next larger shape that has a graph."""
    return CallShape(_power_of_two(shape.rows), None if shape.length is None else _next_length(shape.length))


def _power_of_two(rows: int) -> int:
    return 1 << (rows - 1).bit_length()


def _next_length(length: int) -> int:
    """Return the next of 16, 24, 32, 48, 64, 96 and so on: at most a third of a row is padding."""
    power = max(_LEAST_LENGTH, _power_of_two(length))
    between = power * 3 // 4
    return between if length <= between and between > _LEAST_LENGTH else power


def _lengths_up_to(length: int) -> list[int]:
    found = [_LEAST_LENGTH]
    while found[-1] < length:
        found.append(_next_length(found[-1] + 1))
    return found


def _words(shape: CallShape) -> str:
    return f"{shape.rows} rows" + ("" if shape.length is None else f" of length {shape.length}")
