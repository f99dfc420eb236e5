"""`bento-monitor doctor`: installed packages, features of this machine, and hooks that work."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from rich.table import Table

    from ..installation import Installation
    from ..machine import Machine
    from ..serving.paths import ApiPath

_GIB = 2**30


@click.command()
@click.argument("target", metavar="[MODULE:SERVICE]", required=False)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object, for programs.")
def doctor(target: str | None, *, as_json: bool) -> None:
    """Show what is installed, the CPU features and devices of this machine, and which hooks work with this BentoML.

    With MODULE:SERVICE, imported from this folder, also show which path each of its APIs uses, and why.

    Exits with 1 if a problem must be fixed before a service can be monitored.
    """
    from rich.console import Console

    from ..installation import read_installation
    from ..machine import read_machine
    from ..serving.paths import read_paths

    # Importing BentoML and ONNX Runtime takes seconds.
    with Console(stderr=True, quiet=as_json).status("Looking at this machine and what is installed"):
        machine, installation = read_machine(), read_installation()
        paths = None if target is None else read_paths(target, Path.cwd())
    if as_json:
        click.echo(json.dumps(_as_json(machine, installation, paths), indent=2))
    else:
        _print(machine, installation, paths)
    if installation.problems:
        raise click.exceptions.Exit(1)


def _as_json(machine: Machine, installation: Installation, paths: list[ApiPath] | None) -> dict[str, object]:
    extras = [{**asdict(extra), "install_command": extra.install_command} for extra in installation.extras]
    return {
        "python": platform.python_version(),
        "machine": asdict(machine),
        **asdict(installation),
        "extras": extras,
        "paths": None if paths is None else [asdict(path) for path in paths],
    }


def _print(machine: Machine, installation: Installation, paths: list[ApiPath] | None) -> None:
    from rich.console import Console

    console = Console(highlight=False, markup=False)
    tables = [_machine_table(machine), _installation_table(installation), _hook_table(installation)]
    for table in [*tables, *([] if paths is None else [_path_table(paths)])]:
        console.print(table)
    for warning in installation.warnings:
        console.print(f"Warning: {warning}", soft_wrap=True)
    for problem in installation.problems:
        console.print(f"Problem: {problem}", soft_wrap=True)
    if not installation.problems:
        console.print("No problem found.")


def _machine_table(machine: Machine) -> Table:
    table = _table("This machine")
    table.add_row("Python", f"{platform.python_version()} ({platform.python_implementation()})")
    table.add_row("System", machine.system)
    table.add_row("Processor", machine.cpu_model)
    table.add_row("CPU features", "not known" if machine.cpu_flags is None else " ".join(machine.cpu_flags) or "none")
    cores = f"{machine.usable_cpus} usable of {machine.logical_cpus}"
    table.add_row("Cores", f"{cores}, quota {machine.cpu_quota:g}" if machine.cpu_quota else f"{cores}, no quota")
    memory = f"{machine.memory_bytes / _GIB:.1f} GiB"
    limit = machine.memory_limit_bytes
    table.add_row("Memory", f"{memory}, limit {limit / _GIB:.1f} GiB" if limit else f"{memory}, no limit")
    for gpu in machine.gpus:
        table.add_row("GPU", f"{gpu.name}, {gpu.memory_bytes / _GIB:.0f} GiB, compute {gpu.compute_capability}")
    if not machine.gpus:
        table.add_row("GPU", "none")
    return table


def _installation_table(installation: Installation) -> Table:
    table = _table("Installed")
    for name, version in installation.packages.items():
        table.add_row(name, version or "-")
    for extra in installation.extras:
        missing = ", ".join(extra.missing)
        table.add_row(f"[{extra.name}]", f"without {missing}: {extra.install_command}" if missing else "complete")
    table.add_row("ONNX Runtime on", ", ".join(installation.onnxruntime_providers) or "nothing")
    table.add_row("Traces go to", installation.telemetry)
    table.add_row("Input captured", ", ".join(installation.capture_fields) or "nothing")
    home = installation.home
    state = "writable" if home.is_writable else "NOT writable"
    table.add_row("Home folder", f"{home.path} ({state}, {home.free_bytes / _GIB:.1f} GiB free)")
    return table


def _hook_table(installation: Installation) -> Table:
    table = _table(f"Hooks on BentoML {installation.packages['bentoml'] or '(not installed)'}")
    for hook in installation.hooks:
        table.add_row(hook.name, "enabled" if hook.is_enabled else f"disabled: {hook.reason}")
    return table


def _path_table(paths: list[ApiPath]) -> Table:
    table = _table("Path of each API")
    for path in paths:
        table.add_row(path.route, "fast" if path.is_fast else f"BentoML's: {path.reason}")
    return table


def _table(title: str) -> Table:
    from rich.markup import escape
    from rich.table import Table

    table = Table(title=escape(title), title_justify="left", show_header=False, box=None, padding=(0, 2, 0, 2))
    table.add_column(no_wrap=True)
    table.add_column(overflow="fold")
    return table
