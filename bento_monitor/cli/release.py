"""`bento-monitor release`: list, promote and roll back releases, and show what every worker serves."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import click

from ..errors import InputError, ReleaseError
from ..releases.active_state import ActiveState
from ..releases.active_store import ActiveStore
from ..releases.promotion import PromotionResult, promote_own
from ..releases.promotion import promote as promote_release
from ..releases.promotion import rollback as rollback_release
from ..releases.release_store import StoredRelease, find_release, list_releases
from ..releases.status import ServiceStatus, Standing, read_standing, read_status
from ..releases.worker_state import WorkerState
from ..resilience.atomic_files import is_disk_full
from ..resilience.printable import printable
from ..settings import require_settings

_WATCH_S = 1.0


class _StoreGroup(click.Group):
    """Commands on files that anyone may have changed: a file that cannot be read or written becomes one sentence."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command."""
        try:
            return super().invoke(ctx)
        except OSError as error:
            if is_disk_full(error):
                raise
            raise ReleaseError(f"{error}: check the file, its folder and their permissions.", "store") from error


@click.group(cls=_StoreGroup)
def release() -> None:
    """List, promote and roll back releases, and show which of them a server runs."""


@release.command(name="list")
@click.option("--service", help="List only the releases of this service.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def list_command(service: str | None, as_json: bool) -> None:
    """List the stored releases with remarks on each, the oldest first."""
    found = list_releases(service)
    services = {stored.release.service for stored in found if stored.release is not None}
    standings = {name: read_standing(_store(name)) for name in services}
    marks = [_marks(stored, standings) for stored in found]
    if as_json:
        click.echo(json.dumps([_raw(stored, said) for stored, said in zip(found, marks, strict=True)], indent=2))
    elif not found:
        click.echo("No releases yet: bento-monitor optimize creates them.")
    else:
        for stored, said in zip(found, marks, strict=True):
            _print_release(stored, said)
        click.echo("* is active." if any("active" in said for said in marks) else "None is active.")


@release.command()
@click.argument("name", metavar="RELEASE")
@click.option("--own", is_flag=True, help="Activate the own model of the service RELEASE instead of a release.")
@click.option("--runner", help="With --own: only in this runner.")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds for all workers to activate it.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def promote(name: str, own: bool, runner: str | None, timeout_s: float, as_json: bool) -> None:
    """Activate a release in every worker of the running server, without a failed request.

    With --own, RELEASE is the name of a service, and its own model is activated.
    """
    if runner is not None and not own:
        raise InputError("--runner requires --own: a release itself names its runner.")
    if own:
        _print_result(promote_own(_known_store(name), runner, timeout_s=timeout_s), as_json)
        return
    record, folder = find_release(name)
    if not as_json:
        click.echo("Running workers activate it, and keep it after they have watched it for failures.", err=True)
    store = _store(record.service)
    _print_result(promote_release(store, record, folder, timeout_s=timeout_s), as_json)


@release.command()
@click.argument("service")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds for all workers to roll back.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def rollback(service: str, timeout_s: float, as_json: bool) -> None:
    """Roll SERVICE back to its last earlier state that served well; each further rollback goes further back."""
    _print_result(rollback_release(_known_store(service), timeout_s=timeout_s), as_json)


@release.command()
@click.argument("service")
@click.option("--watch", is_flag=True, help="Show the status again after each change, until Ctrl-C.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for programs.")
def status(service: str, watch: bool, as_json: bool) -> None:
    """Show what is active for SERVICE, and what each worker serves; exit with 1 if a worker is not on the active
    state.
    """
    store = _known_store(service)
    shown = read_status(store)
    _print_status(shown, as_json)
    while watch:
        time.sleep(_WATCH_S)
        latest = read_status(store)
        if latest != shown:
            shown = latest
            if not as_json:
                click.echo(time.strftime("\n%H:%M:%S"))
            _print_status(shown, as_json)
    if shown.problems:
        raise click.exceptions.Exit(1)


def _store(service: str) -> ActiveStore:
    try:
        return ActiveStore(require_settings().home, service)
    except ReleaseError as error:
        raise InputError(str(error)) from error


def _known_store(service: str) -> ActiveStore:
    store = _store(service)
    if not store.folder.is_dir():
        raise InputError(
            f"No service {service!r} was served here: run bento-monitor serve, or check BENTO_MONITOR_HOME."
        )
    return store


def _marks(stored: StoredRelease, standings: Mapping[str, Standing]) -> list[str]:
    release = stored.release
    return [f"damaged: {stored.problem}"] if release is None else standings[release.service].marks_of(release)


def _raw(stored: StoredRelease, marks: Sequence[str]) -> dict[str, Any]:
    record = {} if stored.release is None else asdict(stored.release)
    return {**record, "name": stored.name, "marks": list(marks), "is_active": "active" in marks}


def _say(text: str) -> None:
    click.echo(printable(text))


def _print_release(stored: StoredRelease, marks: Sequence[str]) -> None:
    _say(f"{'* ' if 'active' in marks else '  '}{stored.name}")
    if stored.release is not None:
        found = stored.release
        how = found.evidence.get("candidate") or f"{found.execution.backend} {found.execution.precision}"
        apis = ", ".join(found.apis)
        _say(f"    {found.service} ({apis}), runner {found.runner}: {how}; {_speedup(found.evidence)}")
    for mark in marks:
        if mark != "active":
            _say(f"    {mark}")


def _speedup(evidence: Mapping[str, Any]) -> str:
    try:
        value, interval = evidence["speedup"], evidence["speedup_ci95"]
        return f"{value:.2f} times the baseline [{interval[0]:.2f}, {interval[1]:.2f}]"
    except (TypeError, ValueError, KeyError, IndexError, OverflowError):  # a person may have written the record
        return "not measured"


def _print_result(result: PromotionResult, as_json: bool) -> None:
    status = ServiceStatus(result.state, result.workers)
    if as_json:
        click.echo(json.dumps(status.to_raw(), indent=2))
        return
    served = len(result.workers)
    when = f"{served} worker(s) serve it." if served else "No server is running: the next start activates it."
    _say(f"Active: {result.state.describe()}. {when}")
    if result.released_apis:
        _say(f"No release governs {', '.join(result.released_apis)} any more: the service's own model serves there.")
    _print_workers(result.workers)


def _print_status(status: ServiceStatus, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(status.to_raw(), indent=2))
        return
    active = status.active
    _say(f"Active: {active.describe()} (change {active.sequence}, {active.reason})")
    if active.note is not None:
        _say(f"  {active.note}")
    _print_governed(active)
    if not status.workers:
        _say("No server is running.")
    _print_workers(status.workers)
    for sentence in (*status.problems, *status.notes):
        _say(sentence)


def _print_governed(active: ActiveState) -> None:
    for runner, found in sorted(active.runners.items()):
        _say(f"  runner {runner}: {found.release}, for {', '.join(found.apis)}")
    for api, batching in sorted(active.batching.items()):
        _say(f"  {api}: up to {batching.max_batch_size} a batch, window {batching.window_ms:g} ms")


def _print_workers(workers: Sequence[WorkerState]) -> None:
    for state in workers:
        swap = f", swapped in {state.swap_ms:.0f} ms" if state.swap_ms is not None and state.sequence else ""
        error = f" ({state.error})" if state.error else ""
        serves = ", ".join(f"{runner}: {name or 'own model'}" for runner, name in sorted(state.serves.items()))
        _say(f"  worker {state.pid}: {state.phase}, {serves or 'no runner'}{swap}{error}")
        for release, counts in state.fallbacks.items():
            calls = ", ".join(f"{count} by {reason}" for reason, count in sorted(counts.items()))
            _say(f"    calls that the own model ran instead of {release}: {calls}")
