"""The active state of a service as one complete value: the release of each runner, and the batching of each API.

Every change writes the complete state, so that all workers serve the same, whenever they started. The functions of this
module are pure: they return the next state.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, Literal, get_args

from ..errors import ReleaseError
from ..serving_config import Batching
from .release_bounds import check_batching, require_object, require_shallow
from .release_record import Release

_FORMAT = 1
Reason = Literal["never moved", "promote", "own", "rollback", "automatic rollback"]


@dataclass(frozen=True, slots=True)
class ActiveRelease:
    """The active release of one runner, its folder, and the APIs that it governs.

    `record_sha256` is the hash of its record, which never changes. `model` is the fingerprint of the only model that
    the release may replace; `since` is the number of the change that activated it.
    """

    release: str
    folder: str
    record_sha256: str
    apis: tuple[str, ...]
    batching: Batching | None
    model: str
    since: int


@dataclass(frozen=True, slots=True)
class ActiveState:
    """What a service serves.

    A runner that is not in `runners` runs the own model; an API that is not in `batching` has the service's batching.

    `sequence` is the number of the change. `position` is the number of the change that first led to this content, and
    `parent` the position before it: rollback follows the parents, whatever other changes happened in between. `aside`
    are releases that were put aside because they failed, for the reason in `note`. `undoes` is the number of the change
    that an automatic rollback reverts.
    """

    sequence: int = 0
    position: int = 0
    parent: int | None = None
    runners: Mapping[str, ActiveRelease] = field(default_factory=dict)
    batching: Mapping[str, Batching] = field(default_factory=dict)
    reason: Reason = "never moved"
    moved_at_s: float = 0.0
    promoted: str | None = None
    note: str | None = None
    aside: tuple[str, ...] = ()
    undoes: int | None = None

    @property
    def releases(self) -> dict[str, str]:
        """Name of each runner's release."""
        return {runner: active.release for runner, active in self.runners.items()}

    def serves_same(self, other: ActiveState) -> bool:
        """Return whether both states serve the same releases with the same batching."""
        return self.releases == other.releases and self.batching == other.batching

    def describe(self) -> str:
        """Describe in words what is served."""
        if not self.runners:
            return "the service's own model"
        return ", ".join(f"{active.release} (runner {runner})" for runner, active in sorted(self.runners.items()))

    def to_json(self) -> str:
        """Return the state as one line of JSON."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_raw(cls, raw: Any) -> ActiveState:
        """Read a state from the decoded JSON of `to_json`.

        Raises:
            ReleaseError: `raw` is not an active state.
        """
        try:
            require_object(raw)
            require_shallow(raw)
            _require_format(raw)
            fields = {name: value for name, value in raw.items() if name != "format"}
            fields["runners"] = {str(runner): _active_release(entry) for runner, entry in raw["runners"].items()}
            fields["batching"] = {str(api): _batching(entry) for api, entry in raw["batching"].items()}
            fields["aside"] = tuple(raw["aside"])
            state = cls(**fields)
            _check(state)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError, OverflowError) as error:
            raise ReleaseError(f"This is not an active state: {error!r:.200}.", "state") from error
        return state


OWN_MODELS = ActiveState()
"""The state before any change: the first of every history; it always counts as having served well."""


def promoted(
    state: ActiveState, release: Release, folder: Path, record_sha256: str, now_s: float, sequence: int
) -> ActiveState:
    """Return the state with `release` active in its runner; other runners are unchanged."""
    assert release.model_fingerprint is not None
    active = ActiveRelease(
        release=release.name,
        folder=str(folder),
        record_sha256=record_sha256,
        apis=release.apis,
        batching=release.batching,
        model=release.model_fingerprint,
        since=sequence,
    )
    return _moved(state, {**state.runners, release.runner: active}, "promote", now_s, sequence, promoted=release.name)


def own_models(state: ActiveState, runner: str | None, now_s: float, sequence: int) -> ActiveState:
    """Return the state with the own model in `runner`, or in all runners if `runner` is None."""
    left = {name: active for name, active in state.runners.items() if runner not in (None, name)}
    return _moved(state, left, "own", now_s, sequence)


def restored(target: ActiveState, reason: Reason, now_s: float, sequence: int, **why: Any) -> ActiveState:
    """Return a new state that serves what `target` served; further rollbacks continue from there."""
    return replace(
        target,
        **{
            "sequence": sequence,
            "reason": reason,
            "moved_at_s": now_s,
            "promoted": None,
            "note": None,
            "aside": (),
            **why,
        },
    )


def batching_of(runners: Mapping[str, ActiveRelease]) -> dict[str, Batching]:
    """Return the batching of each API from the releases that govern it; the latest release takes precedence."""
    found: dict[str, Batching] = {}
    for active in sorted(runners.values(), key=lambda each: each.since):
        if active.batching is not None:
            found.update(dict.fromkeys(active.apis, active.batching))
    return found


def _moved(
    state: ActiveState, runners: Mapping[str, ActiveRelease], reason: Reason, now_s: float, sequence: int, **more: Any
) -> ActiveState:
    return ActiveState(
        sequence=sequence,
        position=sequence,
        parent=state.position,
        runners=dict(runners),
        batching=batching_of(runners),
        reason=reason,
        moved_at_s=now_s,
        **more,
    )


def _require_format(raw: Mapping[str, Any]) -> None:
    if raw.get("format") != _FORMAT:
        raise ValueError(f"the format is {raw.get('format')!r:.20}, not {_FORMAT}")


def _active_release(raw: Mapping[str, Any]) -> ActiveRelease:
    batching = raw["batching"]
    return ActiveRelease(
        **{**raw, "apis": tuple(raw["apis"]), "batching": None if batching is None else _batching(batching)}
    )


def _batching(raw: Mapping[str, Any]) -> Batching:
    batching = Batching(**raw)
    check_batching(batching)
    return batching


def _check(state: ActiveState) -> None:
    counts: list[Any] = [state.sequence, state.position, *(active.since for active in state.runners.values())]
    counts += [count for count in (state.parent, state.undoes) if count is not None]
    texts: list[Any] = [
        text
        for active in state.runners.values()
        for text in (active.release, active.folder, active.model, active.record_sha256)
    ]
    texts += [api for active in state.runners.values() for api in active.apis] + list(state.aside)
    optional: list[Any] = [text for text in (state.promoted, state.note) if text is not None]
    moved_at_s: Any = state.moved_at_s
    is_sane = (
        all(type(count) is int and count >= 0 for count in counts)
        and all(isinstance(text, str) for text in (*texts, *optional))
        and all(texts)
        and isinstance(moved_at_s, int | float)
        and math.isfinite(moved_at_s)
        and state.reason in get_args(Reason)
        and state.position <= state.sequence
        and (state.parent is None or state.parent < state.position)
    )
    if not is_sane:
        raise ValueError("a field has a wrong type or value")
