"""`make bench-fingerprint`: how long the fingerprint of a model takes, from wrapping it to the value."""

from __future__ import annotations

import gc
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from onnx import TensorProto, helper, numpy_helper
from result import Figure, write_result
from torch import nn

from bento_monitor.backends.own import OwnModule, OwnOnnxFile
from bento_monitor.fingerprints import ModelFingerprint

REPETITIONS = 9
# Of nine ordered samples the 2nd and 8th hold the median with 96 % confidence: 1 - 2 * P(Binomial(9, 1/2) <= 1).
LOW, HIGH = 1, 7
# Size: width and number of blocks, each with 12 * width**2 weights like a transformer's.
STACKS = {"1m": (128, 6), "20m": (512, 7), "100m": (768, 15)}
GOAL_S = 1.0


class Block(nn.Module):
    """A block with the weights of a transformer's: attention and a feed-forward part."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.norm_attention = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width)
        self.value = nn.Linear(width, width)
        self.output = nn.Linear(width, width)
        self.norm_feed = nn.LayerNorm(width)
        self.up = nn.Linear(width, 4 * width)
        self.act = nn.GELU()
        self.down = nn.Linear(4 * width, width)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        """Return the block's output; the benchmark never calls this."""
        normed = self.norm_attention(x)
        attended = nn.functional.scaled_dot_product_attention(self.query(normed), self.key(normed), self.value(normed))
        x = x + self.output(attended)
        return x + self.down(self.act(self.up(self.norm_feed(x))))


def make_stack(name: str) -> nn.Module:
    """Return a stack of blocks with about as many weights as its name says."""
    width, blocks = STACKS[name]
    return nn.Sequential(*(Block(width) for _ in range(blocks))).eval()


def write_onnx(model: nn.Module, path: Path, *, is_external: bool) -> None:
    """Write an ONNX file with the same weights, each the input of a node, as the fingerprint reads it."""
    nodes, tensors = [], []
    outside = path.with_suffix(".bin")
    with outside.open("wb") as file:
        for name, parameter in model.named_parameters():
            array = parameter.detach().numpy()
            nodes.append(helper.make_node("Identity", [name], [f"{name}.out"], name=name))
            if not is_external:
                tensors.append(numpy_helper.from_array(array, name))
                continue
            tensor = TensorProto(
                name=name, data_type=TensorProto.FLOAT, dims=array.shape, data_location=TensorProto.EXTERNAL
            )
            for key, value in (("location", outside.name), ("offset", file.tell()), ("length", array.nbytes)):
                tensor.external_data.add(key=key, value=str(value))
            file.write(array.tobytes())
            tensors.append(tensor)
    path.write_bytes(helper.make_model(helper.make_graph(nodes, "stack", [], [], tensors)).SerializeToString())


def wrap_file(path: Path) -> OwnOnnxFile:
    """Return the file as a runner holds it, but without a session: the fingerprint does not use one."""
    own = OwnOnnxFile.__new__(OwnOnnxFile)
    own.path = path
    return own


def measure(own: Any) -> list[dict[str, float]]:
    """Measure the seconds of each repetition, in their order; the very first is a warm-up and left out."""
    samples = []
    for _ in range(REPETITIONS + 1):
        gc.collect()
        start = time.perf_counter()
        fingerprint = ModelFingerprint(own)
        made = time.perf_counter()
        fingerprint.value()
        end = time.perf_counter()
        samples.append({"wrap_s": made - start, "total_s": end - start, "is_stale_s": time_call(fingerprint.is_stale)})
    return samples[1:]


def time_call(call: Callable[[], object], calls: int = 100) -> float:
    """Return the mean seconds of one call."""
    start = time.perf_counter()
    for _ in range(calls):
        call()
    return (time.perf_counter() - start) / calls


def figure_of(samples: list[dict[str, float]], goal_s: float | None) -> Figure:
    """Return the median of the repetitions, with an interval from their order."""
    times = sorted(sample["total_s"] for sample in samples)
    goal = None if goal_s is None else f"<= {goal_s:g}"
    return Figure(
        median(times), "s", (times[LOW], times[HIGH]), goal, None if goal_s is None else times[HIGH] <= goal_s
    )


def main() -> int:
    """Measure every size and write the result; return 1 if a goal is not met."""
    raw: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        for size in STACKS:
            model = make_stack(size)
            arms: dict[str, Any] = {f"torch_{size}": OwnModule(model)}
            for kind, is_external in (("onnx", False), ("onnx_external", True)):
                path = Path(folder) / f"{kind}_{size}.onnx"
                write_onnx(model, path, is_external=is_external)
                arms[f"{kind}_{size}"] = wrap_file(path)
            n_weights = sum(parameter.numel() for parameter in model.parameters())
            for name, own in arms.items():
                raw[name] = {"n_weights": n_weights, "samples": measure(own)}
    figures = {
        f"fingerprint_s_{name}": figure_of(arm["samples"], GOAL_S if name.endswith("_100m") else None)
        for name, arm in raw.items()
    }
    write_result("fingerprint", figures, {"threads": torch.get_num_threads(), "numpy": np.__version__, **raw})
    return 0 if all(figure.met is not False for figure in figures.values()) else 1


if __name__ == "__main__":
    sys.exit(main())
