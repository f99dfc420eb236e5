from __future__ import annotations

import time

import numpy as np
import pytest
import torch

from bento_monitor.errors import MeasurementError, ServiceError
from bento_monitor.lab.profiling.function_times import FunctionInputs, fit_line, profile_function
from bento_monitor.lab.profiling.lengths import rows_by_length, unit_of
from bento_monitor.lab.profiling.machine_peak import Place
from bento_monitor.lab.profiling.operators import Operators
from bento_monitor.lab.profiling.profile_record import BatchTime
from bento_monitor.lab.profiling.session_operators import read_session_operators
from bento_monitor.lab.profiling.standalone import measure_standalone, repeat_rows
from bento_monitor.lab.profiling.subject import Target
from bento_monitor.lab.profiling.torch_operators import find_place, read_torch_operators

SERVICE = """
import time
import bentoml
import numpy as np

@bentoml.service
class Bare:
    @bentoml.api(batchable=True, max_batch_size=4)
    def batched(self, xs: list[int]) -> list[int]:
        time.sleep(0.002 + 0.001 * len(xs))
        return xs

    @bentoml.api
    def alone(self, x: int) -> int:
        return x

    @bentoml.api
    async def on_the_loop(self, x: int) -> int:
        return x

    @bentoml.api
    def broken(self, x: int) -> int:
        raise ValueError("no")
"""


SESSIONS = """
import bentoml
import numpy as np
import onnxruntime

@bentoml.service
class Scorer:
    def __init__(self):
        self.session = onnxruntime.InferenceSession("graph.onnx", providers=["CPUExecutionProvider"])

    @bentoml.api(batchable=True, max_batch_size=2)
    def score(self, texts: list[str]) -> list[float]:
        rows = np.array([[len(text)] * 64 for text in texts], np.float32)
        images = np.ones((len(texts), 1, 8, 8), np.float32)
        return self.session.run(None, {"x": rows, "image": images})[0].sum(axis=1).tolist()
"""


@pytest.fixture
def target(tmp_path):
    (tmp_path / "bare_service.py").write_text(SERVICE)
    return Target("bare_service:Bare", tmp_path)


def test_batched_function_is_called_with_each_size_up_to_its_maximum(target):
    found = measure_standalone(target, "/batched", (b'{"xs": [1, 2, 3]}', b'{"xs": [4]}'), seconds=0.1)
    assert found is not None
    assert [each.batch_size for each in found.times] == [1, 2, 4]
    assert all(each.median_ms >= 2 + each.batch_size for each in found.times)
    assert found.items_per_s > 0
    assert found.alpha_ms is not None
    assert min(found.gemm_gflops, found.copy_gib_per_s) > 0
    assert (found.gflop_per_item, found.peak_share, found.operators, found.length_times) == (None, None, (), ())


def test_function_without_batches_is_called_with_one_item(target):
    found = measure_standalone(target, "/alone", (b'{"x": 1}',), seconds=0.1)
    assert found is not None
    assert [each.batch_size for each in found.times] == [1]
    assert (found.alpha_ms, found.beta_ms) == (None, None)


def test_async_function_is_not_measured_standalone(target):
    assert measure_standalone(target, "/on_the_loop", (b'{"x": 1}',)) is None


def test_failing_function_gives_an_error_with_its_cause(target):
    with pytest.raises(MeasurementError, match="ValueError: no"):
        measure_standalone(target, "/broken", (b'{"x": 1}',))


def test_fitted_line_recovers_the_times():
    times = [BatchTime(size, 3 + 0.5 * size, 9) for size in (1, 2, 4, 8, 32)]
    assert fit_line(times) == pytest.approx((3, 0.5))


def test_batch_is_filled_by_repeating_its_rows():
    assert repeat_rows([1, 2, 3], 5) == [1, 2, 3, 1, 2]


def test_torch_operators_are_counted_and_named():
    weights = torch.rand(256, 256)
    inputs = FunctionInputs({size: [torch.rand(size, 256)] for size in (1, 16)})
    found = profile_function(inputs, lambda: lambda value: value @ weights, seconds=0.1)
    assert found.gflop_per_item == pytest.approx(2 * 256 * 256 / 1e9)
    assert found.peak_share is not None
    assert 0 < found.peak_share < 2
    assert found.operators[0][0] == "aten::mm"
    moved = [4 * (256 * 256 + 2 * size * 256) for size in (1, 16)]
    flop = [2 * 256 * 256 * size for size in (1, 16)]
    assert [each.flop_per_byte for each in found.intensities] == pytest.approx(np.divide(flop, moved))


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_function_without_a_gpu_is_compared_to_the_cpu(device):
    value = torch.ones(64, 64, dtype=torch.float64, device=device)
    assert find_place(lambda: value @ value) == Place("cpu", "float32")


@pytest.mark.usefixtures("gpu")
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_function_on_a_gpu_is_compared_to_that_gpu(dtype):
    weights = torch.rand(4096, 4096, device="cuda", dtype=dtype)
    inputs = FunctionInputs({size: [torch.rand(size, 4096, device="cuda", dtype=dtype)] for size in (1, 4096)})
    found = profile_function(inputs, lambda: lambda value: (value @ weights).sum().item(), seconds=1.0)
    assert found.computes_in == f"{str(dtype).removeprefix('torch.')} on {torch.cuda.get_device_name()}"
    assert 0.1 < found.gemm_gflops / 1e3 < 5000
    assert 20 < found.copy_gib_per_s < 20_000
    assert 0 < found.peak_share < 1.1
    assert found.operators[0][0] == "aten::mm"
    assert found.operators[0][1] > 0.5


def test_slow_function_is_profiled_with_its_smallest_and_largest_batch_only():
    weights = torch.rand(64, 64)

    def call(value):
        time.sleep(0.01)
        return value @ weights

    inputs = FunctionInputs({size: [torch.rand(size, 64)] for size in (1, 2, 4)})
    found = profile_function(inputs, lambda: call, seconds=0.1)
    assert [each.batch_size for each in found.intensities] == [1, 4]
    assert found.gflop_per_item == pytest.approx(2 * 64 * 64 / 1e9)


def test_without_torch_there_are_no_operators(monkeypatch):
    import sys

    monkeypatch.delitem(sys.modules, "torch")
    assert read_torch_operators(lambda: np.ones(3), Place()) == Operators()


def test_view_moves_no_bytes():
    found = read_torch_operators(lambda: torch.ones(4).view(2, 2), Place())
    assert found.gib * 2**30 == 16


def graph_file(folder):
    """Write `z = relu(x @ w)`, 64 numbers in and 32 out, and a convolution of 8 x 8 numbers by 4 kernels of 3 x 3."""
    from onnx import TensorProto, helper, numpy_helper, save

    weights = numpy_helper.from_array(np.ones((64, 32), dtype=np.float32), "w")
    kernels = numpy_helper.from_array(np.ones((4, 1, 3, 3), dtype=np.float32), "k")
    nodes = [
        helper.make_node("MatMul", ["x", "w"], ["y"]),
        helper.make_node("Relu", ["y"], ["z"]),
        helper.make_node("Conv", ["image", "k"], ["c"]),
    ]
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", 64]),
        helper.make_tensor_value_info("image", TensorProto.FLOAT, ["batch", 1, 8, 8]),
    ]
    outputs = [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in ("z", "c")]
    graph = helper.make_graph(nodes, "graph", inputs, outputs, [weights, kernels])
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9), folder / "graph.onnx")
    return folder / "graph.onnx"


def test_function_with_a_session_has_operators_and_times_by_length(tmp_path):
    graph_file(tmp_path)
    (tmp_path / "session_service.py").write_text(SESSIONS)
    target = Target("session_service:Scorer", tmp_path)
    found = measure_standalone(target, "/score", (b'{"texts": ["one two six"]}',), seconds=0.1)
    assert found is not None
    assert {"Conv", "MatMul"} & {name for name, _ in found.operators}
    assert [each.batch_size for each in found.intensities] == [1, 2]
    assert found.length_unit == "characters"
    assert [each.length for each in found.length_times] == [3, 7, 11, 23, 47, 95]


def test_session_operators_are_measured_after_the_first_call(tmp_path):
    import onnxruntime as ort

    file, made = graph_file(tmp_path), []

    def make():
        options = ort.SessionOptions()
        # ORT's own layout for convolutions would pad them to 16 kernels.
        options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
        session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
        made.append(session)
        return lambda size: session.run(
            None, {"x": np.ones((size, 64), np.float32), "image": np.ones((size, 1, 8, 8), np.float32)}
        )

    found = read_session_operators(make, {1: 1, 8: 8})
    for size in (1, 8):
        assert set(found[size].own_us) == {"MatMul", "Relu", "Conv"}
        assert found[size].gflop * 1e9 == pytest.approx(size * (2 * 64 * 32 + 2 * 4 * 6 * 6 * 9))
        product = 4 * (64 * 32 + size * (64 + 32))
        others = 4 * size * (2 * 32 + 64 + 4 * 6 * 6) + 4 * 4 * 9
        assert found[size].gib * 2**30 == pytest.approx(product + others)
    assert len(made) == 1
    assert not list(tmp_path.glob("*.json"))
    # Later sessions have no profiler.
    make()(1)
    assert made[1].end_profiling() == ""


def test_function_without_a_session_has_no_session_operators(tmp_path):
    assert read_session_operators(lambda: lambda value: value, {1: 1}) == {}


def test_operators_add_up_and_the_largest_shares_are_named():
    both = Operators(1.0, 0.5, {"aten::mm": 3.0}) + Operators(2.0, 0.25, {"MatMul": 96.5, "Relu": 0.5})
    assert (both.gflop, both.gib) == (3.0, 0.75)
    assert both.shares == (("MatMul", 0.965), ("aten::mm", 0.03))


def test_rows_of_unequal_lengths_are_grouped_from_short_to_long():
    rows = ["x" * length for length in (400, 10, 20, 30, 40, 50, 60, 70, 80, 90, 100, 200)]
    found = rows_by_length(rows)
    assert unit_of(rows) == "characters"
    assert list(found) == sorted(found)
    assert (min(found) <= 20, max(found)) == (True, 400)
    assert all(abs(len(row) - length) <= 200 for length, group in found.items() for row in group)


def test_text_of_one_length_is_cut_and_repeated():
    found = rows_by_length(["one two six ten"] * 3)
    assert found[3] == ["one"]
    assert found[15] == ["one two six ten"]
    assert max(found) == 8 * 16 - 1


@pytest.mark.parametrize("rows", [[], [1, 2], [[1.0] * 8] * 5, ["", ""], [{"a": 1}]])
def test_rows_without_lengths_are_not_grouped(rows):
    assert rows_by_length(rows) == {}


def test_lists_of_unequal_lengths_are_counted_in_elements():
    rows = [[0] * length for length in (1, 2, 4, 8)]
    assert unit_of(rows) == "elements"
    assert set(rows_by_length(rows)) == {1, 2, 4, 8}


def test_length_that_the_function_fails_on_is_left_out():
    def call(text):
        if len(text) > 100:
            raise ServiceError("too long")

    inputs = FunctionInputs({1: ["a b"]}, {length: ["x" * length] for length in (10, 50, 200)}, "characters")
    found = profile_function(inputs, lambda: call, seconds=0.05)
    assert [each.length for each in found.length_times] == [10, 50]
    assert all(each.calls >= 3 for each in found.length_times)
