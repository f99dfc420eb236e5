"""`bento-monitor optimize --list-space`: the values of every knob for a service, and what is cut and why."""

from __future__ import annotations

import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from bento_monitor.errors import InputError
from bento_monitor.extras import missing_distributions
from bento_monitor.lab.model_host.client import ModelHost
from bento_monitor.lab.model_host.messages import ApiDescription, RunnerDescription, ServiceDescription
from bento_monitor.machine import Machine, read_machine

from .search_space.batching import WINDOWS_MS, batch_sizes
from .search_space.choices import SpaceChoices, chosen_families
from .search_space.executions import CUDA_GRAPHS, PLAIN_SUB_BATCH_SIZES, SUB_BATCH_SIZES, thread_counts
from .search_space.facts import SpaceFacts
from .search_space.onnx_precisions import OPS_OF_ATTENTION
from .search_space.precisions import precision_space
from .search_space.recipe import FamilySpace

# The operator that the exporter makes of a layer.
_OPERATORS = {
    "Conv1d": "Conv",
    "Conv2d": "Conv",
    "Conv3d": "Conv",
    "ConvTranspose1d": "ConvTranspose",
    "ConvTranspose2d": "ConvTranspose",
    "Linear": "Gemm",
    "NonDynamicallyQuantizableLinear": "Gemm",
    "MultiheadAttention": "MatMul",
    "LSTM": "LSTM",
    "GRU": "GRU",
}
_UNKNOWN_SAMPLES = 2**20


@dataclass(frozen=True, slots=True)
class ListedSpace:
    """The space of one API's model: the values of each knob by name, and the families of precisions with the cuts."""

    api: str
    runner: str
    knobs: dict[str, tuple[float, ...]]
    precisions: FamilySpace


def list_space(
    target: str, working_dir: Path, choices: SpaceChoices, *, api: str | None, runner: str | None, connections: int
) -> list[ListedSpace]:
    """Return the space of each runner of a service, without any data: rules that depend on samples are not applied.

    Raises:
        InputError: the service has no such API or runner.
        ServiceError: the service cannot be imported.
    """
    with (
        tempfile.TemporaryDirectory(prefix="bento-monitor-space-") as folder,
        ModelHost(target, working_dir, log=Path(folder) / "log") as host,
    ):
        service = host.describe()
    machine = read_machine()
    chosen_api = _only(service, api)
    runners = [each for each in service.runners if runner in (None, each.name)]
    if not runners:
        names = ", ".join(each.name for each in service.runners) or "none"
        raise InputError(f"The service has no runner {runner!r} to optimize (it has: {names}).")
    return [_listed(each, chosen_api, service.workers, choices, connections, machine) for each in runners]


def _only(service: ServiceDescription, name: str | None) -> ApiDescription:
    found = [each for each in service.apis if name in (None, each.name)]
    if len(found) != 1:
        names = ", ".join(each.name for each in service.apis)
        raise InputError(f"Give one API of the service by --api: {names}.")
    return found[0]


def _listed(
    runner: RunnerDescription,
    api: ApiDescription,
    workers: int,
    choices: SpaceChoices,
    connections: int,
    machine: Machine,
) -> ListedSpace:
    sizes = batch_sizes(connections, api.max_batch_size) if api.is_batchable else [1]
    knobs: dict[str, tuple[float, ...]] = {
        "threads": choices.threads or tuple(thread_counts(machine.cores)),
        "sub_batch_size": choices.sub_batch_size or _sorted({0, *SUB_BATCH_SIZES, *PLAIN_SUB_BATCH_SIZES}),
        "max_batch_size": choices.max_batch_size or tuple(sizes),
        "window_ms": (choices.window_ms or WINDOWS_MS) if api.is_batchable else (0.0,),
        "workers": choices.workers or (workers,),
        "cuda_graphs": (choices.cuda_graphs or CUDA_GRAPHS) if runner.device == "cuda" else (False,),
    }
    return ListedSpace(api.name, runner.name, knobs, chosen_families(precision_space(_facts(runner, machine)), choices))


def _facts(runner: RunnerDescription, machine: Machine) -> SpaceFacts:
    """Return the facts that are known without samples; the others are assumed so that nothing is cut."""
    layers = {_OPERATORS[name] for name in runner.layers if name in _OPERATORS}
    if any("Attention" in name for name in runner.layers):
        layers |= OPS_OF_ATTENTION
    operators = layers if runner.kind == "torch" else {"MatMul"}
    return SpaceFacts(
        runner_kind=runner.kind,
        cpu_flags=frozenset(machine.cpu_flags or ()),
        device=runner.device,
        has_2d_convolutions=runner.has_2d_convolutions,
        has_mask=True,
        has_varying_axes=True,
        choosing_samples=_UNKNOWN_SAMPLES,
        graph_ops=frozenset(operators or {"Gemm"}),
        has_openvino=not missing_distributions("openvino"),
        without_graphs=None,
    )


def _sorted(values: Iterable[float]) -> tuple[float, ...]:
    return tuple(sorted(values))
