"""`make bench-gpu`: the best of the search's space on a GPU, over torch eager in float32, from host to host.

The space is raced for each batch size; the winner and eager are then measured anew in interleaved blocks. Takes about
four minutes; `--device cpu` shows on a machine without a GPU that it runs, without CUDA graphs.
"""

from __future__ import annotations

import argparse
import math
import sys
import time
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

sys.path += [str(Path(__file__).resolve().parents[1] / "examples" / each) for each in ("common", "semantic_search")]
import numpy as np
import torch
from gpu.models import GpuModel, gpu_models
from result import Figure, write_result
from served.figures import ratio_of
from turns import interleaved

from bento_monitor.errors import ReleaseError
from bento_monitor.lab.model_host.capture import specs_of
from bento_monitor.releases.release_record import OutputForm, Release, TensorSpec
from bento_monitor.runner import MonitoredRunner, PreparedModel
from bento_monitor.serving_config import Execution
from optimizers.candidate import describe_execution
from optimizers.search_space.executions import executions
from optimizers.search_space.facts import SpaceFacts
from optimizers.search_space.torch_precisions import torch_space

GOALS = {
    "gpu_best_over_eager_minilm_1": 8.0,
    "gpu_best_over_eager_minilm_8": 8.0,
    "gpu_best_over_eager_minilm_32": 5.0,
    "gpu_best_over_eager_minilm_128": 4.0,
    "gpu_best_over_eager_resnet18_1": 4.0,
    "gpu_best_over_eager_resnet18_32": 2.0,
}
LEAST_COSINE = 0.999  # of an answer to that in float32; below, a way to run is no candidate
RACE_S, BLOCK_S, BLOCKS = 0.3, 0.5, 10
DRAWN = 8  # batches of each size, in turn


class Arms:
    """A model on a device, and the ways to run it."""

    def __init__(self, model: GpuModel, device: str) -> None:
        """Move the model to the device."""
        self._model = model
        self._device = torch.device(device)
        self._generator = np.random.default_rng(0)
        self._runner = MonitoredRunner(model.module.to(self._device), name=model.name)
        self._own = PreparedModel(self._runner.own_model, None)
        self._specs = self._shapes()

    def measure(self, rows: int) -> tuple[Figure, dict[str, Any]]:
        """Return the ratio of the best way to eager, and the raw samples."""
        batches = [self._model.draw(rows, self._generator) for _ in range(DRAWN)]
        raced: dict[Execution, float] = {}
        refused: dict[str, str] = {}
        prepared: dict[Execution, PreparedModel] = {}
        for execution in self._executions():
            try:
                prepared[execution] = self._prepared(execution)
            except ReleaseError as error:
                refused[describe_execution(execution)] = str(error)
                continue
            cosine = self._cosine(prepared[execution], batches[0])
            if cosine < LEAST_COSINE:
                refused[describe_execution(execution)] = f"cosine {cosine:.4f} to float32"
                continue
            self._rate(prepared[execution], batches, 0.0)  # every shape once
            raced[execution] = self._rate(prepared[execution], batches, RACE_S)
        best = max(raced, key=lambda each: raced[each])
        arms = {"best": prepared[best], "eager": self._own}
        rates = interleaved({name: partial(self._rate, arm, batches, BLOCK_S) for name, arm in arms.items()}, BLOCKS)
        pairs = zip(rates["best"], rates["eager"], strict=True)
        return ratio_of([math.log(ours / eager) for ours, eager in pairs]), {
            "best": describe_execution(best),
            "rows_per_s": {describe_execution(each): rate for each, rate in raced.items()},
            "refused": refused,
            "blocks": rates,
        }

    def _executions(self) -> Iterable[Execution]:
        facts = SpaceFacts(
            runner_kind="torch",
            cpu_flags=frozenset(),
            device=self._device.type,
            has_2d_convolutions=any(weight.ndim == 4 for weight in self._model.module.parameters()),
            has_mask=self._model.mask_input is not None,
            has_varying_axes=self._model.mask_input is not None,
            choosing_samples=0,
            graph_ops=frozenset(),
            has_openvino=False,
            without_graphs=None,
        )
        kinds = [recipe.kind for recipe in torch_space(facts).recipes]
        has_graphs = self._device.type == "cuda"
        return executions(
            kinds, torch.get_num_threads(), self._model.mask_input, has_separate_rows=True, has_graphs=has_graphs
        )

    def _shapes(self) -> tuple[tuple[TensorSpec, ...], TensorSpec]:
        drawn = [self._model.draw(rows, self._generator) for rows in (1, 2, 32)]
        (output,) = specs_of([{"output": self._run(self._own, each)} for each in drawn])
        return specs_of(drawn), output

    def _prepared(self, execution: Execution) -> PreparedModel:
        inputs, output = self._specs
        return self._runner.prepare(
            Release(
                name="bench",
                service="Bench",
                apis=(),
                runner=self._model.name,
                execution=execution,
                batching=None,
                workers=None,
                artifact_file=None,
                artifact_sha256=None,
                inputs=inputs,
                outputs=(output,),
                output_form=OutputForm(),
            ),
            Path(),
        )

    def _run(self, prepared: PreparedModel, inputs: dict[str, Any]) -> Any:
        self._runner.activate(prepared)
        moved = {name: value.to(self._device) for name, value in inputs.items()}
        with torch.inference_mode():
            return self._runner(**moved).cpu()

    def _cosine(self, prepared: PreparedModel, inputs: dict[str, Any]) -> float:
        expected, found = self._run(self._own, inputs), self._run(prepared, inputs)
        return float(torch.nn.functional.cosine_similarity(expected, found).min())

    def _rate(self, prepared: PreparedModel, batches: list[dict[str, Any]], seconds: float) -> float:
        """Return the rows per second, over whole turns of all batches."""
        begun, rows = time.perf_counter(), 0
        while rows == 0 or time.perf_counter() - begun < seconds:
            for inputs in batches:
                rows += len(self._run(prepared, inputs))
        return rows / (time.perf_counter() - begun)


def main() -> int:
    """Measure every model at each of its batch sizes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    device = parser.parse_args().device
    if device == "cuda" and not torch.cuda.is_available():
        sys.exit("bench-gpu: torch finds no GPU here; --device cpu shows that the benchmark runs.")
    figures: dict[str, Figure] = {}
    raw: dict[str, Any] = {}
    for model in gpu_models():
        arms = Arms(model, device)
        for rows in model.batches:
            name = f"gpu_best_over_eager_{model.name}_{rows}"
            ratio, raw[name] = arms.measure(rows)
            least = ratio.value if ratio.ci95 is None else ratio.ci95[0]
            figures[name] = replace(ratio, goal=f">= {GOALS[name]:g}", met=least >= GOALS[name])
            print(f"{name}: {ratio.value:.2f}, at least {least:.2f}: {raw[name]['best']}", flush=True)
    write_result("gpu" if device == "cuda" else "gpu-on-cpu", figures, raw)
    return 0


if __name__ == "__main__":
    sys.exit(main())
