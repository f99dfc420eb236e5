"""Releases that killed their worker: out of memory, or by a crash in native code.

The killed worker cannot report this. Later workers do: the state file that it left names the releases it was loading.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from .active_store import ActiveStore
from .worker_state import ServerKey, WorkerState, dead_workers, remove_worker_state

_LOGGER = logging.getLogger("bento_monitor")
_ENOUGH = 2


def put_killers_aside(store: ActiveStore, mine: ServerKey) -> None:
    """Revert the active state if it killed workers that loaded it; each worker calls this before it loads the state.

    One death while loading is enough if the server still runs, because its supervisor has just started this worker as
    the replacement. If the whole server died, or the worker had already begun to serve, there may be another cause:
    then two deaths are needed.
    """
    for _ in range(_ENOUGH + len(store.history().states)):  # the state before may have killed workers, too
        state = store.read().state
        dead = dead_workers(store.folder)
        killed = killed_worker(dead, state.sequence, mine)
        if killed is None or store.undo(state.sequence, _note(killed), killed.loading) is None:
            break
        _LOGGER.warning("%s Its releases are put aside.", _note(killed))
    forget_deaths(store.folder, but_of=store.read().state.sequence)


def forget_deaths(service_folder: Path, but_of: int | None = None) -> None:
    """Remove the state files of dead workers, except those that count against the change `but_of`."""
    for state in dead_workers(service_folder):
        if not (state.loading and state.sequence == but_of):
            remove_worker_state(service_folder, state)


def killed_worker(dead: Sequence[WorkerState], sequence: int, server: ServerKey) -> WorkerState | None:
    """Return a worker that the change `sequence` has killed; None if there are too few deaths to conclude that."""
    died = [state for state in dead if state.sequence == sequence and state.loading]
    for state in died:
        if state.phase == "loading" and state.server == server:
            return state
    servers = {state.server for state in died if state.server != server}
    here = sum(state.server == server for state in died)
    return died[0] if here + len(servers) >= _ENOUGH else None


def _note(state: WorkerState) -> str:
    doing = "while it loaded" if state.phase == "loading" else "soon after it had begun to serve"
    return f"Worker {state.pid} died {doing} {', '.join(state.loading)}."
