"""Releases that killed their worker: by the system for want of memory, or by a crash in native code.

Nothing in the worker can tell of it, so those that come after it do: the state that it left says what it was loading.
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
    """Take back the active state if it killed workers that loaded it; called by a worker before it loads it itself.

    One death while loading is enough in a server that still runs, whose supervisor has just started this worker in the
    dead one's place. Where the whole server died it may have been killed for another reason, and so may a worker that
    had already begun to serve: then it takes two.
    """
    for _ in range(_ENOUGH + len(store.history().states)):  # what was active before may have killed workers, too
        state = store.read().state
        dead = dead_workers(store.folder)
        fault = at_fault(dead, state.sequence, mine)
        if fault is None or store.undo(state.sequence, _note(fault), fault.loading) is None:
            break
        _LOGGER.warning("%s It is put aside.", _note(fault))
    forget_deaths(store.folder, but_of=store.read().state.sequence)


def forget_deaths(service_folder: Path, but_of: int | None = None) -> None:
    """Remove what dead workers have left, less what counts against the move `but_of`."""
    for state in dead_workers(service_folder):
        if not (state.loading and state.sequence == but_of):
            remove_worker_state(service_folder, state)


def at_fault(dead: Sequence[WorkerState], sequence: int, server: ServerKey) -> WorkerState | None:
    """A worker whose death the move `sequence` is to blame for; None where there is none, or not enough of them."""
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
