"""The active state of a service as one whole value: what each runner runs, and how each API is batched.

Every move writes all of it, so that a worker that starts now and one that has run for a week serve the same. The
functions here are pure: they give the next state from this one.
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
    """The release that one runner runs, where it lies, and which APIs it governs.

    `record_sha256` is the hash of its record, which is never changed. `model` is the fingerprint of the model that it
    may stand for; `since` is the move that brought it.
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
    """What a service serves. A runner that is not in `runners` runs the service's own model, and an API that is not in
    `batching` has the service's own.

    `sequence` numbers the moves. `position` is the move that first led to this content, and `parent` the position it
    was made from: rollback walks along them, whatever else happened in between. `aside` are releases that failed, and
    why is in `note`; `undoes` is the move that an automatic one takes back.
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
        """The name of each runner's release."""
        return {runner: active.release for runner, active in self.runners.items()}

    def serves_same(self, other: ActiveState) -> bool:
        """Whether a request is answered alike under both."""
        return self.releases == other.releases and self.batching == other.batching

    def describe(self) -> str:
        """What is served, in words."""
        if not self.runners:
            return "the service's own model"
        return ", ".join(f"{active.release} (runner {runner})" for runner, active in sorted(self.runners.items()))

    def to_json(self) -> str:
        """All of it on one line."""
        return json.dumps({"format": _FORMAT, **asdict(self)})

    @classmethod
    def from_raw(cls, raw: Any) -> ActiveState:
        """Read what `json.loads` made of `to_json`'s line.

        Raises:
            ReleaseError: it is no such state.
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
"""What a service serves that was never moved: it is at the bottom of every history, and has always served well."""


def promoted(
    state: ActiveState, release: Release, folder: Path, record_sha256: str, now_s: float, sequence: int
) -> ActiveState:
    """The state with `release` in place of whatever its runner runs; other runners go on as they are."""
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
    """The state with the service's own model in `runner`, or in all of them where it is None."""
    left = {name: active for name, active in state.runners.items() if runner not in (None, name)}
    return _moved(state, left, "own", now_s, sequence)


def restored(target: ActiveState, reason: Reason, now_s: float, sequence: int, **why: Any) -> ActiveState:
    """The state that serves what `target` did; further rollbacks go on from there."""
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
    """How each API is batched by the releases that govern it: of several, the one that came last has its way."""
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
        raise ValueError(f"its format is {raw.get('format')!r:.20}, not {_FORMAT}")


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
    said: list[Any] = [text for text in (state.promoted, state.note) if text is not None]
    moved_at_s: Any = state.moved_at_s
    is_sane = (
        all(type(count) is int and count >= 0 for count in counts)
        and all(isinstance(text, str) for text in (*texts, *said))
        and all(texts)
        and isinstance(moved_at_s, int | float)
        and math.isfinite(moved_at_s)
        and state.reason in get_args(Reason)
        and state.position <= state.sequence
        and (state.parent is None or state.parent < state.position)
    )
    if not is_sane:
        raise ValueError("a field is not of its kind")
