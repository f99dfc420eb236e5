"""History of a service's active state: all changes, which states served well, which releases were put aside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import ReleaseError
from .active_state import OWN_MODELS, ActiveState

_KEPT = "kept"


@dataclass(slots=True)
class History:
    """The content of the journal.

    `states` are the states by sequence, `kept` the positions that served well, `aside` the releases that were put aside
    and the reasons. `damaged_lines` counts the lines that could not be read; all other lines are valid.
    """

    states: dict[int, ActiveState] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    damaged_lines: int = 0
    is_servable: Callable[[ActiveState], bool] = lambda state: True
    """Whether the running workers have the models from which a state's releases were made, as far as known."""

    @property
    def last(self) -> ActiveState | None:
        """State of the latest change."""
        return self.states[max(self.states)] if self.states else None

    def add(self, state: ActiveState) -> None:
        """Add a change."""
        self.states[state.sequence] = state
        for release in state.aside:
            self.aside[release] = state.note or "it failed"
        if state.promoted is not None:  # a person has promoted the release again
            self.aside.pop(state.promoted, None)

    def at(self, position: int) -> ActiveState | None:
        """Return the state at a position; None if its line is damaged."""
        return OWN_MODELS if position == 0 else self.states.get(position)

    def is_good(self, state: ActiveState) -> bool:
        """Return whether a state served well, none of its releases failed since, and the workers may serve it now."""
        return self.is_possible(state) and (state.position == 0 or state.position in self.kept)

    def is_possible(self, state: ActiveState) -> bool:
        """Return whether none of a state's releases was put aside, and the workers may serve it."""
        return self.is_servable(state) and not any(release in self.aside for release in state.releases.values())

    def rollback_target(self, state: ActiveState) -> ActiveState | None:
        """Return the nearest ancestor of `state` that has served well and serves something else; None without one.

        Ancestors are found by `parent`. At a damaged line of the journal, the search continues with the latest earlier
        state that has served well.
        """
        position = state.parent
        while position is not None:
            below = self.at(position)
            if below is None:
                position = max((each for each in self.kept if each < position and each in self.states), default=0)
                continue
            if self.is_good(below) and not below.serves_same(state):
                return below
            position = below.parent
        return None if OWN_MODELS.serves_same(state) else OWN_MODELS

    def state_before(self, state: ActiveState) -> ActiveState:
        """Return the target of an automatic rollback of `state`: the latest earlier state that may be served."""
        before = max((each for each in self.states if each < state.sequence), default=0)
        target = self.at(before) or OWN_MODELS
        while not self.is_possible(target):
            target = self.rollback_target(target) or OWN_MODELS
        return target


def read_history(lines: Iterable[str]) -> History:
    """Read the lines of a journal; unreadable lines are counted and skipped."""
    history = History()
    for line in lines:
        if not line.strip():
            continue
        try:
            raw = json.loads(line)
            if isinstance(raw, dict) and _KEPT in raw:
                history.kept.add(int(raw[_KEPT]))
            else:
                history.add(ActiveState.from_raw(raw))
        except (ValueError, TypeError, OverflowError, RecursionError, ReleaseError):
            history.damaged_lines += 1
    return history


def kept_line(position: int) -> str:
    """Return the line of the journal for a position that has served well."""
    return json.dumps({_KEPT: position})
