"""`make bench-knobs`: what options of sessions, allocators and exporters are worth beside what the search varies.

Each knob is turned alone, on the float32 graph and an int8 graph of each workload, against the search's own options, in
interleaved rounds; allocators in a process of their own. A knob that gains nothing is not searched.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from result import Figure, write_result
from served.figures import ratio_of

sys.path += [
    str(Path(__file__).resolve().parents[1] / "examples" / "common"),
    str(Path(__file__).resolve().parent / "wild"),
]
import numpy as np
import onnxruntime as ort
from space.subjects import subjects
from turns import interleaved

from bento_monitor.errors import BentoMonitorError
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import Exporter
from bento_monitor.machine import read_machine
from optimizers.artifacts.calibration_inputs import CalibrationInputs
from optimizers.artifacts.quantize import quantize
from optimizers.search_space.recipe import DynamicInt8, Quantization, StaticInt8
from optimizers.stages.subject import find_subject

ROUNDS, BLOCK_S = 12, 0.3
SAMPLES, BATCH = 64, 16
CORES = read_machine().cores
QUANTIZED: Mapping[str, Quantization] = {
    "semantic_search": DynamicInt8(is_per_channel=True),
    "loans_mlp": DynamicInt8(is_per_channel=True),
    "digits": StaticInt8("minmax", SAMPLES),
    "machine_failure": StaticInt8("minmax", SAMPLES),
}
EXPORTERS: tuple[tuple[str, Exporter, int], ...] = (
    ("opset_18", "torchscript", 18),
    ("opset_20", "torchscript", 20),
    ("dynamo", "dynamo", 18),
)
JEMALLOC = Path("/usr/lib/x86_64-linux-gnu/libjemalloc.so.2")
ALLOCATORS: Mapping[str, Mapping[str, str]] = {
    "one_arena": {"MALLOC_ARENA_MAX": "1"},
    **({"jemalloc": {"LD_PRELOAD": str(JEMALLOC)}} if JEMALLOC.is_file() else {}),
}


def _no_arena(options: Any) -> None:
    options.enable_cpu_mem_arena = False


def _no_memory_pattern(options: Any) -> None:
    options.enable_mem_pattern = False


def _denormals(options: Any) -> None:
    options.add_session_config_entry("session.set_denormal_as_zero", "1")


def _parallel(options: Any) -> None:
    options.execution_mode = ort.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = CORES


KNOBS: Mapping[str, Callable[[Any], None]] = {
    "no_arena": _no_arena,
    "no_memory_pattern": _no_memory_pattern,
    "denormals_as_zero": _denormals,
    "parallel_operators": _parallel,
}


@dataclass(frozen=True, slots=True)
class Arm:
    """A session and its batches, run in turn."""

    session: Any
    batches: list[Mapping[str, Any]]

    def block(self) -> float:
        """Return the batches per second of a block."""
        start, done = time.perf_counter(), 0
        while time.perf_counter() - start < BLOCK_S:
            self.session.run(None, dict(self.batches[done % len(self.batches)]))
            done += 1
        return done / (time.perf_counter() - start)


def open_arm(graph: Path, inputs: Path, turn: Callable[[Any], None] | None = None) -> Arm:
    """Open a graph as the backend does, with one knob turned."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = CORES
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    if turn is not None:
        turn(options)
    session = ort.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
    calls = list(CalibrationInputs(inputs, graph, is_padded=True))
    batches = [calls[start : start + BATCH] for start in range(0, len(calls), BATCH)]
    return Arm(session, [{name: np.concatenate([row[name] for row in rows]) for name in rows[0]} for rows in batches])


def slimmed(graph: Path, target: Path) -> dict[str, Path]:
    """Return the graph as onnxslim simplifies it, if that is installed."""
    if importlib.util.find_spec("onnxslim") is None:
        print("  onnxslim is not installed: no arm of it", flush=True)
        return {}
    import onnxslim

    onnxslim.slim(str(graph), str(target))
    return {"onnxslim": target}


class _Allocated:
    """An arm in a process with variables of its own, which measures a block for each line that it reads."""

    def __init__(self, graph: Path, inputs: Path, variables: Mapping[str, str]) -> None:
        command = [sys.executable, __file__, "--serve", str(graph), str(inputs)]
        self._process = subprocess.Popen(
            command, env={**os.environ, **variables}, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def block(self) -> float:
        """Return the batches per second of a block."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write("\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()


def serve_blocks(graph: Path, inputs: Path) -> None:
    """Measure a block for each line on stdin."""
    arm = open_arm(graph, inputs)
    for _ in sys.stdin:
        print(arm.block(), flush=True)


def measure(name: str, folder: Path) -> dict[str, dict[str, list[float]]]:
    """Return the rates of all arms on each graph of a workload."""
    subject = subjects()[name](folder)
    with ModelHost(subject.spec.target, subject.spec.working_dir, subject.environment) as host:
        found = find_subject(host, subject.spec, folder)
        inputs = folder / "inputs.npz"
        rows = found.choosing[:SAMPLES].tolist()
        host.model_inputs(found.subject.api.name, found.requests, inputs, rows=rows)
        graphs = {"fp32": folder / "fp32.onnx"}
        host.export(graphs["fp32"])
        exported: dict[str, Path] = {}
        for label, exporter, opset in EXPORTERS:
            path = folder / f"{label}.onnx"
            try:
                host.export(path, exporter, opset=opset)
            except BentoMonitorError as error:
                print(f"  {name}: {label}: {str(error).splitlines()[0][:100]}", flush=True)
            else:
                exported[label] = path
    graphs["int8"] = folder / "int8.onnx"
    how = QUANTIZED[name]
    quantize(graphs["fp32"], graphs["int8"], how, calibration=inputs)
    rates = {}
    for precision, graph in graphs.items():
        arms = {"own": open_arm(graph, inputs).block, "again": open_arm(graph, inputs).block}
        arms |= {label: open_arm(graph, inputs, turn).block for label, turn in KNOBS.items()}
        if precision == "int8" and isinstance(how, StaticInt8):
            quantize(graphs["fp32"], folder / "signed.onnx", replace(how, is_signed=True), calibration=inputs)
            arms["signed_activations"] = open_arm(folder / "signed.onnx", inputs).block
        if precision == "fp32":
            exported |= slimmed(graph, folder / "slimmed.onnx")
            arms |= {label: open_arm(path, inputs).block for label, path in exported.items()}
        processes = {label: _Allocated(graph, inputs, variables) for label, variables in ALLOCATORS.items()}
        processes["own_process"] = _Allocated(graph, inputs, {})
        arms |= {label: process.block for label, process in processes.items()}
        rates[precision] = interleaved(arms, ROUNDS)
        for process in processes.values():
            process.close()
    return rates


def figures_of(raw: Mapping[str, Mapping[str, Mapping[str, list[float]]]]) -> dict[str, Figure]:
    """Return each arm's rate over that of the search's own options."""
    figures = {}
    for name, graphs in raw.items():
        for precision, rates in graphs.items():
            for label, values in rates.items():
                base = "own_process" if label in ALLOCATORS else "own"
                if label not in ("own", "own_process"):
                    ratios = [math.log(a / b) for a, b in zip(values, rates[base], strict=True)]
                    figures[f"{label}_{name}_{precision}"] = ratio_of(ratios)
    return figures


def main() -> int:
    """Measure all workloads, or serve blocks as an arm of its own."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", default=",".join(QUANTIZED), help="Names of workloads, with commas.")
    parser.add_argument("--serve", nargs=2, type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.serve is not None:
        serve_blocks(*arguments.serve)
        return 0
    raw: dict[str, Any] = {}
    for name in arguments.only.split(","):
        with tempfile.TemporaryDirectory(prefix="bench-knobs-") as folder:
            print(f"==> {name}", flush=True)
            raw[name] = measure(name, Path(folder))
    write_result("knobs", figures_of(raw), json.loads(json.dumps(raw)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
