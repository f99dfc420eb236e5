"""Runs one move of the store, and kills itself at its n-th call that touches a file.

`python killed_move.py HOME MOVE [RELEASE_FOLDER] N` prints the number of such calls if N is larger. A tracer finds the
calls: every C function that is called from our frames, or from frames of the standard library below ours.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from types import FrameType
from typing import Any

from releasing import SERVICE, move_to

from bento_monitor.releases import active_store
from bento_monitor.releases.active_store import ActiveStore
from bento_monitor.releases.promotion import rollback
from bento_monitor.releases.release_store import read_release
from bento_monitor.resilience import atomic_files as files

OURS = (files.__file__, active_store.__file__)
TOUCHING = frozenset({"open", "write", "flush", "fsync", "rename", "replace", "unlink", "mkdir"})


class Tracer:
    """Counts the calls that touch a file, and kills the process before the given one."""

    def __init__(self, kill_at: int) -> None:
        self.kill_at = kill_at
        self.count = 0

    def __call__(self, frame: FrameType, event: str, argument: Any) -> None:
        if event == "c_call" and getattr(argument, "__name__", "") in TOUCHING and _is_ours(frame):
            self.count += 1
            if self.count == self.kill_at:
                os.kill(os.getpid(), signal.SIGKILL)


def _is_ours(frame: FrameType | None) -> bool:
    while frame is not None:
        if frame.f_code.co_filename in OURS:
            return True
        frame = frame.f_back
    return False


def main() -> None:
    home, move, folder, kill_at = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    store = ActiveStore(home, SERVICE)
    release = read_release(folder)
    tracer = Tracer(kill_at)
    sys.setprofile(tracer)
    if move == "promote":
        move_to(store, release, folder)
    elif move == "rollback":
        rollback(store)
    elif move == "keep":
        store.note_kept(store.read().state)
    else:
        store.undo(store.read().state.sequence, "it failed.", ("svc-release:2",))
    sys.setprofile(None)
    print(tracer.count)


if __name__ == "__main__":
    main()
