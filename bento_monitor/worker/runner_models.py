"""The runners of a worker, for its release agent: check that releases fit, and swap the models of all runners."""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import replace
from pathlib import Path

from ..errors import ReleaseError
from ..releases.release_record import Release
from ..runner import MonitoredRunner, PreparedModel, release_fallbacks, runners
from ..serving_config import Batching

_LOGGER = logging.getLogger("bento_monitor")
Configure = Callable[[Mapping[str, Batching]], None]


class RunnerModels:
    """The runners of this process, and the batching of its APIs."""

    def __init__(self, apis: Iterable[str], configure: Configure, renew_heap: Callable[[], None]) -> None:
        """Create the collection; runners are looked up when they are needed.

        Args:
            apis: all APIs of the service.
            configure: sets the batching of each API, the service's own for APIs that are not named.
            renew_heap: called when other models are active, and when the previous models are no longer kept.
        """
        self._apis = frozenset(apis)
        self._configure = configure
        self._renew_heap = renew_heap
        self._logged_errors: dict[str, str] = {}
        self._swapped: dict[str, PreparedModel] = {}

    def names(self) -> list[str]:
        """Return the names of the runners."""
        return sorted(runners())

    def fingerprints(self, names: Collection[str]) -> dict[str, str]:
        """Return the current fingerprints of these runners' own models; log once why a model has none."""
        found = {}
        for name, runner in sorted(runners().items()):
            if name not in names:
                continue
            try:
                found[name] = runner.fingerprint.watched_value()
            except ReleaseError as error:
                if self._logged_errors.get(name) != str(error):
                    self._logged_errors[name] = str(error)
                    _LOGGER.warning("Runner %s cannot use a release: %s", name, error)
        return found

    def prepare(self, name: str, release: Release, folder: Path) -> PreparedModel:
        """Load and warm up a release for a runner, if it was made from the model that the runner wraps.

        Raises:
            ReleaseError: the service has no such runner, the runner has another model, or the release does not run.
        """
        runner = runners().get(name)
        if runner is None:
            known = ", ".join(self.names()) or "none"
            raise ReleaseError(f"The service has no runner {name!r} (it has: {known}).", "runner")
        _require_same_model(runner, release)
        unknown = set(release.apis) - self._apis
        if unknown and self._apis:
            raise ReleaseError(
                f"Release {release.name} is for APIs that the service does not have: {sorted(unknown)}.", "api"
            )
        apis: set[str | None] = set(release.apis)
        if self._apis <= apis:
            apis.add(None)  # the release covers all APIs, so also calls of an unknown API
        return replace(runner.prepare(release, folder), apis=frozenset(apis))

    def serve(self, prepared: Mapping[str, PreparedModel], batching: Mapping[str, Batching]) -> None:
        """Activate models and batching from the next call on; other runners and APIs get the service's own."""
        for name, runner in runners().items():
            model = prepared.get(name)
            if model is None:
                runner.reset()
            else:
                runner.activate(model)
        self._configure(batching)
        if self._swapped != dict(prepared):
            self._swapped = dict(prepared)
            self._renew_heap()

    def free_previous(self) -> None:
        """Free the previous models: they are no longer kept, but may be in reference cycles."""
        self._renew_heap()

    def failures(self) -> dict[str, int]:
        """Return the number of calls that a release failed and the own model then answered, by release."""
        return {release: count for runner in runners().values() for release, count in runner.failures.items()}

    def fallbacks(self) -> dict[str, dict[str, int]]:
        """Return the number of calls that own models ran instead of a release, by release and reason."""
        found: dict[str, dict[str, int]] = {}
        for (_, release, reason), count in release_fallbacks().items():
            found.setdefault(release, {})[reason] = count
        return found


def _require_same_model(runner: MonitoredRunner, release: Release) -> None:
    wanted = release.model_fingerprint
    if wanted is None:
        raise ReleaseError(
            f"Release {release.name} does not say which model it was made from, so it is not served: make a new "
            f"release with {release.renewal}",
            "fingerprint",
        )
    try:
        found = runner.fingerprint.present_value()
    except ReleaseError as error:
        raise ReleaseError(str(error), "unseen") from error
    if found != wanted:
        raise ReleaseError(
            f"Release {release.name} was made from another model than runner {runner.name} has (fingerprint "
            f"{_short(wanted)}, here {_short(found)}): its weights, code or attributes have changed, or the version "
            f"of Python or torch. Make a release of this one with {release.renewal}",
            "model",
        )


def _short(fingerprint: str) -> str:
    return fingerprint.partition(":")[2][:12]
