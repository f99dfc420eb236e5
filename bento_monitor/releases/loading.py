"""Loads the releases of an active state: those that are ready to run, and the reasons why others are not."""

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

# Reasons that may disappear by themselves. A wrong fingerprint is not one of them.
_WORTH_A_RETRY = frozenset({"load", "artifact", "record"})


class ServedModels(Protocol):
    """The runners of a worker, as an agent needs them."""

    def names(self) -> list[str]:
        """Return the names of the runners."""

    def fingerprints(self, names: Collection[str]) -> dict[str, str]:
        """Return the current fingerprints of the own models of these runners; models without one are left out.

        This is cheap if no weights were written since the last call.
        """

    def prepare(self, runner: str, release: Release, folder: Path) -> Any:
        """Build and warm up a release while the previous one serves.

        Raises:
            ReleaseError: this worker may not serve the release.
        """

    def serve(self, prepared: Mapping[str, Any], batching: Mapping[str, Batching]) -> None:
        """Serve these from the next call on; other runners serve their own model, other APIs their own batching."""

    def free_previous(self) -> None:
        """Free the models that were served before."""

    def failures(self) -> dict[str, int]:
        """Return the number of calls, by release, that the release failed and the own model answered."""

    def fallbacks(self) -> dict[str, dict[str, int]]:
        """Return the number of calls that own models ran instead of a release, by release and reason."""


@dataclass(frozen=True, slots=True)
class ReleaseRefusal:
    """Why a release is not served: a message, and the reason in one word."""

    release: str
    message: str
    reason: str


@dataclass(frozen=True, slots=True)
class Loaded:
    """Per runner, the active release and the model that was built for it, or the reason why there is none."""

    prepared: Mapping[str, tuple[ActiveRelease, Any]] = field(default_factory=dict)
    refusals: Mapping[str, ReleaseRefusal] = field(default_factory=dict)

    def has(self, runner: str, active: ActiveRelease) -> bool:
        """Return whether exactly this release is ready in the runner."""
        known = self.prepared.get(runner)
        return known is not None and known[0] == active

    def missing(self, state: ActiveState) -> tuple[str, ...]:
        """Return the releases of a state that are not ready."""
        return tuple(active.release for runner, active in state.runners.items() if not self.has(runner, active))

    def without(self, runners: set[str]) -> Loaded:
        """Return a copy without the models of these runners."""
        return Loaded(
            {runner: found for runner, found in self.prepared.items() if runner not in runners}, self.refusals
        )

    def with_former(self, runner: str, former: Loaded) -> Loaded:
        """Return a copy in which one runner has its former release, or the own model if the former is unknown."""
        others = {name: found for name, found in self.prepared.items() if name != runner}
        before = former.prepared.get(runner)
        if before is not None and before[0] != self.prepared[runner][0]:
            others[runner] = before
        return Loaded(others, self.refusals)

    @property
    def releases(self) -> dict[str, str]:
        """Name of the release that is ready in each runner."""
        return {runner: active.release for runner, (active, _) in self.prepared.items()}

    @property
    def first_refusal(self) -> ReleaseRefusal | None:
        """The first refusal, if any."""
        return next(iter(self.refusals.values()), None)

    @property
    def is_worth_a_retry(self) -> bool:
        """Whether the reason of a refusal may disappear by itself."""
        return any(refusal.reason in _WORTH_A_RETRY for refusal in self.refusals.values())

    def serve(self, models: ServedModels) -> None:
        """Serve all releases that are ready, with their batching."""
        batching = batching_of({runner: active for runner, (active, _) in self.prepared.items()})
        models.serve({runner: model for runner, (_, model) in self.prepared.items()}, batching)


NOTHING_LOADED = Loaded()


def load(state: ActiveState, models: ServedModels, *known: Loaded) -> Loaded:
    """Build the releases of a state that are not in `known`; an error refuses only the release that raised it."""
    prepared: dict[str, tuple[ActiveRelease, Any]] = {}
    refusals: dict[str, ReleaseRefusal] = {}
    for runner, active in state.runners.items():
        found = next((loaded for loaded in known if loaded.has(runner, active)), None)
        if found is not None:
            prepared[runner] = found.prepared[runner]
            continue
        try:
            release, folder = _read(active)
            prepared[runner] = (active, models.prepare(runner, release, folder))
        except Exception as error:  # whatever the loading raises, the running models continue
            reason = error.reason if isinstance(error, ReleaseError) else "load"
            message = str(error) if isinstance(error, BentoMonitorError) else f"{type(error).__name__}: {error}"
            refusals[runner] = ReleaseRefusal(active.release, message, reason)
    return Loaded(prepared, refusals)


def _read(active: ActiveRelease) -> tuple[Release, Path]:
    """Read the record of a release from the folder it was promoted from, or from this process's model store.

    The two folders differ if a container has the model store at another path than the promoting process.
    """
    folder = Path(active.folder)
    if not has_record(folder) and has_record(stored_folder(active.release)):
        folder = stored_folder(active.release)
    release = read_release(folder)
    if record_sha256(folder) != active.record_sha256:
        raise ReleaseError(
            f"The record of {active.release} in {folder} was changed since it was promoted, so it is not served: "
            "promote it again if the change is intended.",
            "record",
        )
    return release, folder
