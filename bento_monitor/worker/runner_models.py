"""The runners of a worker as its agent needs them: which release fits which, and how all of them are swapped."""

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
        """Make it; runners are found when they are needed.

        Args:
            apis: all APIs of the service.
            configure: gives each API its batching, the service's own where it is not named.
            renew_heap: called when other models run than before, and when those before are not kept any more.
        """
        self._apis = frozenset(apis)
        self._configure = configure
        self._renew_heap = renew_heap
        self._unseen: dict[str, str] = {}
        self._swapped: dict[str, PreparedModel] = {}

    def names(self) -> list[str]:
        """The names of the runners."""
        return sorted(runners())

    def fingerprints(self, names: Collection[str]) -> dict[str, str]:
        """The fingerprints that the own models of these runners have now; those that have none are said once."""
        found = {}
        for name, runner in sorted(runners().items()):
            if name not in names:
                continue
            try:
                found[name] = runner.fingerprint.watched_value()
            except ReleaseError as error:
                if self._unseen.get(name) != str(error):
                    self._unseen[name] = str(error)
                    _LOGGER.warning("Runner %s can have no release: %s", name, error)
        return found

    def prepare(self, name: str, release: Release, folder: Path) -> PreparedModel:
        """Build and warm up a release for a runner, if it was made from the model that the runner wraps.

        Raises:
            ReleaseError: the service has no such runner, its model is another, or the release does not run.
        """
        runner = runners().get(name)
        if runner is None:
            known = ", ".join(self.names()) or "none"
            raise ReleaseError(f"The service has no runner {name!r} (it has: {known}).", "runner")
        _require_same_model(runner, release)
        unknown = set(release.apis) - self._apis
        if unknown and self._apis:
            raise ReleaseError(
                f"Release {release.name} is for {sorted(unknown)}, which the service does not have.", "api"
            )
        apis: set[str | None] = set(release.apis)
        if self._apis <= apis:
            apis.add(None)  # whatever calls the model, it is for an API that the release governs
        return replace(runner.prepare(release, folder), apis=frozenset(apis))

    def serve(self, prepared: Mapping[str, PreparedModel], batching: Mapping[str, Batching]) -> None:
        """Run these from the next call on; runners and APIs that are not named have the service's own."""
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

    def let_go(self) -> None:
        """What ran before is not kept any more: what is a cycle of it is for the collector."""
        self._renew_heap()

    def failures(self) -> dict[str, int]:
        """How many calls releases have failed so far that the service's own model answered, by release."""
        return {release: count for runner in runners().values() for release, count in runner.failures.items()}

    def fallbacks(self) -> dict[str, dict[str, int]]:
        """How many calls own models ran in a release's place, by release and reason."""
        found: dict[str, dict[str, int]] = {}
        for (_, release, reason), count in release_fallbacks().items():
            found.setdefault(release, {})[reason] = count
        return found


def _require_same_model(runner: MonitoredRunner, release: Release) -> None:
    wanted = release.model_fingerprint
    if wanted is None:
        raise ReleaseError(
            f"Release {release.name} does not say which model it was made from, so it is not served: make it anew with "
            f"{release.renewal}",
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
