"""`bento-monitor release`: list, promote, roll back, and see what every worker serves."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

import click

from ..errors import InputError
from ..releases.pointer import Pointer
from ..releases.promotion import PromotionResult
from ..releases.promotion import promote as promote_release
from ..releases.promotion import rollback as rollback_release
from ..releases.record import Release
from ..releases.store import find_release, list_releases
from ..releases.worker_state import WorkerState, live_workers
from ..settings import load_settings


@click.group()
def release() -> None:
    """Releases: what was found to be faster, and which of them a server runs."""


@release.command(name="list")
@click.option("--service", help="Only the releases of this service.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_command(service: str | None, as_json: bool) -> None:
    """List the stored releases, the oldest first."""
    found = list_releases(service)
    home = load_settings().home
    active = {name: Pointer(home, name).read().release for name in {item.service for item in found}}
    if as_json:
        click.echo(json.dumps([{**asdict(r), "is_active": active[r.service] == r.name} for r in found], indent=2))
    elif not found:
        click.echo("No releases yet: bento-monitor optimize makes them.")
    else:
        _print_releases(found, active)


@release.command()
@click.argument("name")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds for every worker to take it.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def promote(name: str, timeout_s: float, as_json: bool) -> None:
    """Make a release active: every worker of the running server takes it over, and no request fails."""
    record, folder = find_release(name)
    if not as_json:
        click.echo("Running workers take it over, and keep it once they have watched it for failures.", err=True)
    pointer = Pointer(load_settings().home, record.service)
    _print_result(promote_release(pointer, record, folder, timeout_s=timeout_s), as_json)


@release.command()
@click.argument("service")
@click.option("--timeout", "timeout_s", default=60.0, show_default=True, help="Seconds for every worker to go back.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def rollback(service: str, timeout_s: float, as_json: bool) -> None:
    """Go back to what SERVICE ran before its present release."""
    pointer = Pointer(load_settings().home, service)
    _print_result(rollback_release(pointer, timeout_s=timeout_s), as_json)


@release.command()
@click.argument("service")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def status(service: str, as_json: bool) -> None:
    """What is active for SERVICE, and what each worker serves."""
    pointer = Pointer(load_settings().home, service)
    if not pointer.folder.is_dir():
        raise InputError(
            f"No service {service!r} was served here: run bento-monitor serve, or check BENTO_MONITOR_HOME."
        )
    move, workers = pointer.read(), live_workers(pointer.folder)
    if as_json:
        click.echo(json.dumps({"active": asdict(move), "workers": [asdict(state) for state in workers]}, indent=2))
        return
    click.echo(f"Active: {_name(move.release)}")
    _print_workers(workers)


def _name(release_name: str | None) -> str:
    return release_name or "the service's own model"


def _print_result(result: PromotionResult, as_json: bool) -> None:
    if as_json:
        payload = {"active": asdict(result.move), "workers": [asdict(state) for state in result.workers]}
        click.echo(json.dumps(payload, indent=2))
        return
    served = len(result.workers)
    when = f"{served} worker(s) serve it." if served else "No server is running: it is taken at the next start."
    click.echo(f"Active: {_name(result.move.release)}. {when}")
    _print_workers(result.workers)


def _print_releases(found: list[Release], active: Mapping[str, str | None]) -> None:
    for item in found:
        mark = "* " if active[item.service] == item.name else "  "
        how = item.evidence.get("candidate") or f"{item.execution.backend} {item.execution.precision}"
        click.echo(f"{mark}{item.name}\n    {item.service}.{item.api}: {how}; {_speedup(item.evidence)}")
    click.echo("* is active." if any(active[item.service] == item.name for item in found) else "None is active.")


def _speedup(evidence: Mapping[str, Any]) -> str:
    value, interval = evidence.get("speedup"), evidence.get("speedup_ci95")
    if not value or not interval:
        return "not measured"
    return f"{value:.2f} times the baseline [{interval[0]:.2f}, {interval[1]:.2f}]"


def _print_workers(workers: tuple[WorkerState, ...] | list[WorkerState]) -> None:
    for state in workers:
        swap = f", swapped in {state.swap_ms:.0f} ms" if state.swap_ms is not None else ""
        error = f" ({state.error})" if state.error else ""
        click.echo(f"  worker {state.pid}: {state.phase} {_name(state.release)}{swap}{error}")
