"""What happened to a service's active state: every move, which of them served well, which releases were put aside."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ..errors import ReleaseError
from .active_state import OWN_MODELS, ActiveState

_KEPT = "kept"


@dataclass(slots=True)
class History:
    """The journal, read: the states by their sequence, the positions that served well, and what is put aside and why.

    `damaged_lines` could not be read: what they said is unknown, all others hold.
    """

    states: dict[int, ActiveState] = field(default_factory=dict)
    kept: set[int] = field(default_factory=set)
    aside: dict[str, str] = field(default_factory=dict)
    damaged_lines: int = 0
    is_servable: Callable[[ActiveState], bool] = lambda state: True
    """Whether the workers that run have the models that a state's releases were made from; they may all be unknown."""

    @property
    def last(self) -> ActiveState | None:
        """The state of the last move."""
        return self.states[max(self.states)] if self.states else None

    def add(self, state: ActiveState) -> None:
        """One more move."""
        self.states[state.sequence] = state
        for release in state.aside:
            self.aside[release] = state.note or "it failed"
        if state.promoted is not None:  # a person asked for it again
            self.aside.pop(state.promoted, None)

    def at(self, position: int) -> ActiveState | None:
        """The state that first stood at a position; None where its line is damaged."""
        return OWN_MODELS if position == 0 else self.states.get(position)

    def is_good(self, state: ActiveState) -> bool:
        """Whether it served well, nothing in it has failed since, and it can be served now."""
        return self.is_possible(state) and (state.position == 0 or state.position in self.kept)

    def is_possible(self, state: ActiveState) -> bool:
        """Whether no release in it was put aside, and the workers may serve it."""
        return self.is_servable(state) and not any(release in self.aside for release in state.releases.values())

    def rollback_target(self, state: ActiveState) -> ActiveState | None:
        """The nearest state below `state` that has served well and serves something else; None where there is none.

        Below means: what it was made from, and what that was. Where a line of the journal is damaged, the walk goes on
        at the last state before it that has served well.
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
        """What was served before the move to `state`, less what has failed: where an automatic move goes back to."""
        before = max((each for each in self.states if each < state.sequence), default=0)
        target = self.at(before) or OWN_MODELS
        while not self.is_possible(target):
            target = self.rollback_target(target) or OWN_MODELS
        return target


def read_history(lines: Iterable[str]) -> History:
    """Read a journal's lines; what cannot be read is counted and passed over."""
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
    """The journal's line that says: what stands at this position has served well."""
    return json.dumps({_KEPT: position})
