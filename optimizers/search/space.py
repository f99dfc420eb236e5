"""The space of the served search: executions that survived the race, batch sizes, windows and worker counts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from bento_monitor.serving_config import Batching, Execution

from ..candidate import Candidate

_WHOLE = 0  # Optuna's choices are plain values; 0 rows per sub-batch stands for a batch that runs whole


@dataclass(frozen=True, slots=True)
class ServedSpace:
    """The choices of each parameter; candidates whose execution is not in `executions` are never measured."""

    executions: tuple[Execution, ...]
    batch_sizes: tuple[int, ...]
    windows_ms: tuple[float, ...]
    workers: tuple[int, ...]

    def choices(self) -> dict[str, list[Any]]:
        """Return the sorted choices by parameter name, also for parameters with a single choice."""
        points = [execution_parameters(execution) for execution in self.executions]
        merged = {name: sorted({point[name] for point in points}) for name in points[0]}
        return {
            **merged,
            "max_batch_size": sorted(self.batch_sizes),
            "window_ms": sorted(self.windows_ms),
            "workers": sorted(self.workers),
        }

    @property
    def size(self) -> int:
        """The number of candidates."""
        return len(self.executions) * len(self.batch_sizes) * len(self.windows_ms) * len(self.workers)

    def candidate(self, parameters: Mapping[str, Any]) -> Candidate | None:
        """Return the candidate of a point; None if the point is outside the space or its execution did not survive."""
        choices = self.choices()
        if parameters.keys() != choices.keys() or any(parameters[name] not in choices[name] for name in choices):
            return None
        for execution in self.executions:
            if all(parameters[name] == value for name, value in execution_parameters(execution).items()):
                batching = Batching(int(parameters["max_batch_size"]), float(parameters["window_ms"]))
                return Candidate(execution, batching, int(parameters["workers"]))
        return None


def execution_parameters(execution: Execution) -> dict[str, Any]:
    """Return the Optuna parameters of an execution."""
    return {
        "precision": f"{execution.backend} {execution.precision}",
        "threads": execution.intra_op_threads,
        "sub_batch_size": execution.sub_batch_size or _WHOLE,
        "streams": execution.streams,
        "allow_spinning": execution.allow_spinning,
        "cuda_graphs": execution.cuda_graphs,
    }


def candidate_parameters(candidate: Candidate) -> dict[str, Any]:
    """Return the Optuna parameters of a candidate."""
    return {
        **execution_parameters(candidate.execution),
        "max_batch_size": candidate.batching.max_batch_size,
        "window_ms": candidate.batching.window_ms,
        "workers": candidate.workers,
    }


def seeds(space: ServedSpace, ranked: Iterable[Execution], default: Batching) -> list[Candidate]:
    """Return the candidates to start with: the fastest executions in process, with promising and default batching.

    While a batch runs, requests queue for the next one. The largest batch size without a window is therefore the
    analytic optimum of a closed loop. A short window helps if requests arrive just after a batch has started. The
    service's current batching, `default`, is tried with the fastest execution.
    """
    size = max(space.batch_sizes)
    short = min(space.windows_ms, key=lambda window: abs(window - 5.0))
    windows = tuple(dict.fromkeys((min(space.windows_ms), short)))
    candidates = [Candidate(run, Batching(size, window), space.workers[0]) for run in ranked for window in windows]
    if default.max_batch_size in space.batch_sizes and default.window_ms in space.windows_ms and candidates:
        candidates.append(Candidate(candidates[0].execution, default, space.workers[0]))
    return list(dict.fromkeys(candidates))
