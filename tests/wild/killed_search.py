"""Runs a served search over a stub server, killed at calls that touch a file, or that ask or tell the sampler.

`python killed_search.py FOLDER everywhere` runs one search per such call, killed there, each with its own log `N.json`.
`again` runs one search, `trials.json`, killed and restarted until it finishes. Prints the number of kills.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from bento_monitor.resilience import atomic_files as files
from bento_monitor.serving_config import Batching, Execution
from optimizers.candidate import Candidate
from optimizers.search import trial_log
from optimizers.search.served import ServedSearch
from optimizers.search.space import ServedSpace
from optimizers.search.trial_log import TrialOutcome

TRIALS = 5
OURS = (files.__file__, trial_log.__file__)
TOUCHING = frozenset({"open", "write", "flush", "fsync", "rename", "replace", "unlink", "mkdir"})
ASKED = frozenset({"ask", "tell", "enqueue_trial", "_suggest", "set_constraint"})
EXECUTIONS = tuple(Execution("onnxruntime", "fp32", threads) for threads in (1, 2, 4))
SPACE = ServedSpace(EXECUTIONS, batch_sizes=(8, 32), windows_ms=(0.0, 5.0), workers=(1,))
SEEDS = [Candidate(EXECUTIONS[1], Batching(32, 0.0), 1), Candidate(EXECUTIONS[1], Batching(32, 5.0), 1)]


class Tracer:
    """Counts the calls at which a kill could leave partial state, and kills the process before one of them."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        touches = event == "c_call" and getattr(argument, "__name__", "") in TOUCHING and _is_ours(frame)
        asks = event in ("call", "return") and frame.f_code.co_name in ASKED and "optuna" in frame.f_code.co_filename
        if touches or asks:
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in OURS:
            return True
        frame = frame.f_back
    return False


def measure(candidate: Candidate) -> TrialOutcome:
    return TrialOutcome(100.0 * candidate.execution.intra_op_threads, 10.0, 0, -1.0)


def run(log: Path) -> tuple[ServedSearch, list[str]]:
    """Start or resume the search; return it with the names of the candidates measured now."""
    measured: list[str] = []
    search = ServedSearch(log, SPACE, seed=1)
    search.enqueue(SEEDS)
    search.run(TRIALS, measure, lambda candidate, _: measured.append(candidate.name))
    return search, measured


def killed(log: Path, kill_at: int) -> bool:
    """Search in a fork that is killed at one call; return False if the search finished before."""
    child = os.fork()
    if child == 0:
        sys.setprofile(Tracer(kill_at))
        run(log)
        sys.setprofile(None)
        os._exit(0)
    _, status = os.waitpid(child, 0)
    if not os.WIFSIGNALED(status) and status:
        raise RuntimeError(f"The search failed before its call {kill_at}.")
    return os.WIFSIGNALED(status)


def main() -> None:
    folder, mode = Path(sys.argv[1]), sys.argv[2]
    import optuna.samplers  # an import now saves one in each fork

    assert optuna.samplers
    kills = 0
    if mode == "everywhere":
        while killed(folder / f"{kills + 1}.json", kills + 1):
            kills += 1
    else:
        while killed(
            folder / "trials.json", 40 + 8 * kills
        ):  # each trial adds calls to a restart, which tells them to the sampler again
            kills += 1
    print(kills)


if __name__ == "__main__":
    main()
