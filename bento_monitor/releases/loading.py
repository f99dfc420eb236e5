"""What a worker has loaded of an active state: the releases that are ready to run, and why others are not."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from ..errors import BentoMonitorError, ReleaseError
from ..serving_config import Batching
from .active_state import ActiveRelease, ActiveState, batching_of
from .release_record import Release
from .release_store import has_record, read_release, record_sha256, stored_folder

# What may come back by itself; another model does not become this one.
_WORTH_A_RETRY = frozenset({"load", "artifact", "record"})


class ServedModels(Protocol):
    """The runners of a worker, as an agent needs them."""

    def names(self) -> list[str]:
        """The names of the runners."""

    def fingerprints(self, names: Collection[str]) -> dict[str, str]:
        """The fingerprints that the own models of these runners have now; those that have none are left out.

        Cheap where no weights were written to since it was asked before.
        """

    def prepare(self, runner: str, release: Release, folder: Path) -> Any:
        """Build a release beside what runs, and warm it up; raises ReleaseError if this worker may not serve it."""

    def serve(self, prepared: Mapping[str, Any], batching: Mapping[str, Batching]) -> None:
        """Run these from the next call on; runners and APIs that are not named have the service's own."""

    def let_go(self) -> None:
        """What ran before is not kept any more: its memory may be given back."""

    def failures(self) -> dict[str, int]:
        """How many calls releases have failed so far that the service's own model answered, by release."""

    def fallbacks(self) -> dict[str, dict[str, int]]:
        """How many calls own models ran in a release's place, by release and reason."""


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a release is not served, and the kind of that in a word."""

    release: str
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """By runner: the release that is active in it and the model that was built for it, or why there is none."""

    prepared: Mapping[str, tuple[ActiveRelease, Any]] = field(default_factory=dict)
    refusals: Mapping[str, Refusal] = field(default_factory=dict)

    def has(self, runner: str, active: ActiveRelease) -> bool:
        """Whether just this is ready."""
        known = self.prepared.get(runner)
        return known is not None and known[0] == active

    def missing(self, state: ActiveState) -> tuple[str, ...]:
        """The releases of a state that are not ready."""
        return tuple(active.release for runner, active in state.runners.items() if not self.has(runner, active))

    def without(self, runners: set[str]) -> Loaded:
        """The same, but for these runners."""
        return Loaded(
            {runner: found for runner, found in self.prepared.items() if runner not in runners}, self.refusals
        )

    def with_former(self, runner: str, former: Loaded) -> Loaded:
        """The same, but in one runner what ran in it formerly: the own model where that is not known."""
        others = {name: found for name, found in self.prepared.items() if name != runner}
        before = former.prepared.get(runner)
        if before is not None and before[0] != self.prepared[runner][0]:
            others[runner] = before
        return Loaded(others, self.refusals)

    @property
    def releases(self) -> dict[str, str]:
        """The name of the release that is ready for each runner."""
        return {runner: active.release for runner, (active, _) in self.prepared.items()}

    @property
    def first_refusal(self) -> Refusal | None:
        """One that stands for all, if there is any."""
        return next(iter(self.refusals.values()), None)

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether something that was refused may come back by itself."""
        return any(refusal.reason in _WORTH_A_RETRY for refusal in self.refusals.values())

    def serve(self, models: ServedModels) -> None:
        """Run all that is ready; the batching of an API is that of the releases that are."""
        batching = batching_of({runner: active for runner, (active, _) in self.prepared.items()})
        models.serve({runner: model for runner, (_, model) in self.prepared.items()}, batching)


NOTHING = Loaded()


def load(state: ActiveState, models: ServedModels, *known: Loaded) -> Loaded:
    """Build every release of a state that none of `known` has yet; what one of them raises is a refusal of it alone."""
    prepared: dict[str, tuple[ActiveRelease, Any]] = {}
    refusals: dict[str, Refusal] = {}
    for runner, active in state.runners.items():
        found = next((loaded for loaded in known if loaded.has(runner, active)), None)
        if found is not None:
            prepared[runner] = found.prepared[runner]
            continue
        try:
            release, folder = _read(active)
            prepared[runner] = (active, models.prepare(runner, release, folder))
        except Exception as error:  # whatever a model's loading raises, what runs goes on
            reason = error.reason if isinstance(error, ReleaseError) else "load"
            message = str(error) if isinstance(error, BentoMonitorError) else f"{type(error).__name__}: {error}"
            refusals[runner] = Refusal(active.release, message, reason)
    return Loaded(prepared, refusals)


def _read(active: ActiveRelease) -> tuple[Release, Path]:
    """The record of a release, and its folder: where it was promoted from, or the same in this process's model store.

    The two differ where a container sees the model store under another path than the one who promoted.
    """
    folder = Path(active.folder)
    if not has_record(folder) and has_record(stored_folder(active.release)):
        folder = stored_folder(active.release)
    release = read_release(folder)
    if record_sha256(folder) != active.record_sha256:
        raise ReleaseError(
            f"The record of {active.release} in {folder} was changed since it was promoted, so it is not served: "
            "promote it again if that is meant.",
            "record",
        )
    return release, folder
