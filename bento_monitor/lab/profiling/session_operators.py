"""Operators of a call in ONNX Runtime, from its own profiler, which is enabled when a session is created."""

from __future__ import annotations

import json
import math
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from .operators import Operators

_CALLS = 3
_INT8 = frozenset({"MatMulInteger", "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm"})
_PRODUCTS = _INT8 | {"MatMul", "FusedMatMul", "FusedMatMulActivation", "Gemm", "FusedGemm"}
_INT8_BYTES, _FLOAT_BYTES = 1, 4
# Index of the input that holds the weights of a convolution.
_WEIGHTS = {"Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3}
_SIZES = ("parameter_size", "activation_size", "output_size")
_ATTENTION = frozenset({"Attention", "QAttention"})


def read_session_operators(make: Callable[[], Callable[[Any], Any]], values: Mapping[int, Any]) -> dict[int, Operators]:
    """Profile the ONNX Runtime sessions of a function.

    Args:
        make: creates the function together with its sessions.
        values: inputs by batch size.

    Returns:
        The operators of one call, by batch size; empty if ONNX Runtime is not imported, or `make` creates no session.
    """
    if "onnxruntime" not in sys.modules:
        return {}
    with tempfile.TemporaryDirectory(prefix="bento-monitor-sessions-") as folder:
        with _profiled_sessions(Path(folder)) as sessions:
            call = make()
            intervals = {size: _call(call, value) for size, value in values.items()}
        profiles = [(session.get_profiling_start_time_ns(), Path(session.end_profiling())) for session in sessions]
        events = [(start_ns, json.loads(file.read_text(encoding="utf-8"))) for start_ns, file in profiles]
    if not events:
        return {}
    return {size: _operators_between(events, *interval) for size, interval in intervals.items()}


def _call(call: Callable[[Any], Any], value: Any) -> tuple[int, int]:
    """Call once to warm up, then several times; return begin and end of these calls in ns of the wall clock."""
    call(value)
    started_ns = time.time_ns()
    for _ in range(_CALLS):
        call(value)
    return started_ns, time.time_ns()


@contextmanager
def _profiled_sessions(folder: Path) -> Iterator[list[Any]]:
    """Enable the profiler of each session that is created within the block."""
    import onnxruntime as ort

    made: list[Any] = []
    make = ort.InferenceSession.__init__

    def make_profiled(self: Any, path_or_bytes: Any, sess_options: Any = None, *args: Any, **kwargs: Any) -> None:
        options = ort.SessionOptions() if sess_options is None else sess_options
        options.enable_profiling = True
        options.profile_file_prefix = str(folder / f"session-{len(made)}")
        make(self, path_or_bytes, options, *args, **kwargs)
        made.append(self)

    ort.InferenceSession.__init__ = make_profiled
    try:
        yield made
    finally:
        ort.InferenceSession.__init__ = make


def _operators_between(
    sessions: Sequence[tuple[int, Sequence[Mapping[str, Any]]]], begin_ns: int, end_ns: int
) -> Operators:
    own_us: Counter[str] = Counter()
    flop = moved = 0
    for start_ns, events in sessions:
        for event in events:
            if event.get("cat") != "Node" or not begin_ns <= start_ns + event["ts"] * 1000 <= end_ns:
                continue
            node = event["args"]
            own_us[node["op_name"]] += event["dur"]
            flop += _flop_of(node)
            moved += sum(int(node.get(key, 0)) for key in _SIZES) + _packed_bytes(node)
    each_us = {name: total / _CALLS for name, total in own_us.items()}
    return Operators(flop / _CALLS / 1e9, moved / _CALLS / 2**30, each_us)


def _flop_of(node: Mapping[str, Any]) -> int:
    name = node["op_name"]
    inputs, outputs = (_shapes(node.get(key, ())) for key in ("input_type_shape", "output_type_shape"))
    if not inputs or not outputs:
        return 0
    if name in _PRODUCTS:
        # The first operand is (..., rows, inner) or transposed, so its size per output row is the inner dimension.
        rows = math.prod(outputs[0][:-1])
        return 2 * math.prod(outputs[0]) * math.prod(inputs[0]) // max(rows, 1)
    if name in _WEIGHTS and len(inputs) > _WEIGHTS[name]:
        return 2 * math.prod(outputs[0]) * math.prod(inputs[_WEIGHTS[name]][1:])
    if name in _ATTENTION:
        batch, length, width = inputs[0]
        return 2 * batch * length * (math.prod(inputs[1]) + 2 * length * width)
    return 0


def _packed_bytes(node: Mapping[str, Any]) -> int:
    """Return the bytes of a matrix product's weights that the session has packed: the profiler does not show them."""
    inputs, outputs = (_shapes(node.get(key, ())) for key in ("input_type_shape", "output_type_shape"))
    if node["op_name"] not in _PRODUCTS or not inputs or not outputs or int(node.get("parameter_size", 0)):
        return 0
    if len(inputs) > 1 and len(inputs[1]) > 1:
        return 0
    inner = math.prod(inputs[0]) // max(math.prod(outputs[0][:-1]), 1)
    return inner * outputs[0][-1] * (_INT8_BYTES if node["op_name"] in _INT8 else _FLOAT_BYTES)


def _shapes(described: Sequence[Mapping[str, Sequence[int]]]) -> list[list[int]]:
    """Return the shapes of tensors, each described as `{"float": [8, 64]}`."""
    return [list(shape) for each in described for shape in each.values()]
