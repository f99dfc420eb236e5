"""The entry of the command line: it is light, and a broken command does not stop the others."""

from __future__ import annotations

import errno
import json
import subprocess
import sys
from collections.abc import Callable
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from bento_monitor.cli import bentoml_monitor, loading, main
from bento_monitor.cli.loading import COMMAND_GROUP, SHORT_HELP, LazyCommand
from bento_monitor.errors import BentoMonitorError, InputError

OURS = {"doctor", "optimize", "profile", "release", "serve", "traces"}


def raising(error: BaseException) -> click.Command:
    def body() -> None:
        raise error

    return click.Command("raiser", callback=body)


def run_raising(monkeypatch: pytest.MonkeyPatch, error: BaseException) -> Result:
    monkeypatch.setattr(loading, "load_command", lambda name: raising(error))
    return CliRunner().invoke(main, ["raiser"])


@pytest.fixture
def offered(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], None]:
    """Return a function that offers a command under a name, like a distribution's entry point."""
    entries: list[EntryPoint] = []

    def select(*, group: str, **criteria: str) -> EntryPoints:
        assert group == COMMAND_GROUP
        return EntryPoints(entries).select(**criteria)

    monkeypatch.setattr(loading, "entry_points", select)
    return lambda name, value: entries.append(EntryPoint(name, value, COMMAND_GROUP))


def modules_after(statement: str) -> set[str]:
    code = f"import sys, json; {statement}; print(json.dumps(sorted(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_entry_imports_click_and_nothing_heavy() -> None:
    loaded = modules_after("import bento_monitor.cli")
    foreign = {name.partition(".")[0] for name in loaded} - set(sys.stdlib_module_names)
    foreign -= {name.partition(".")[0] for name in modules_after("pass")}
    assert foreign == {"bento_monitor", "click"}


def test_listing_the_commands_imports_none_of_them() -> None:
    statement = "from click.testing import CliRunner; from bento_monitor.cli import main"
    loaded = modules_after(f"{statement}; assert CliRunner().invoke(main, ['--help']).exit_code == 0")
    assert not loaded & {"bentoml", "torch", "onnxruntime", "optuna", "optimizers", "bento_monitor.cli.doctor"}


def test_installed_commands_are_listed_with_their_help() -> None:
    output = CliRunner().invoke(main, ["--help"]).output
    assert {entry.name for entry in entry_points(group=COMMAND_GROUP)} >= OURS
    assert set(SHORT_HELP) == OURS
    for name, short_help in SHORT_HELP.items():
        assert f"  {name}" in output
        assert short_help.split()[0] in output


@pytest.mark.parametrize("name", sorted(OURS))
def test_each_command_loads_and_shows_its_own_help(name: str) -> None:
    result = CliRunner().invoke(main, [name, "--help"])
    assert result.exit_code == 0, result.output
    assert f"Usage: main {name}" in result.output


def test_command_that_cannot_be_imported_says_why_and_spares_the_others(
    offered: Callable[[str, str], None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "broken_command_module.py").write_text("raise RuntimeError('half installed')")
    (tmp_path / "fine_command_module.py").write_text("import click\nrun = click.Command('x', callback=lambda: None)")
    monkeypatch.syspath_prepend(tmp_path)
    offered("broken", "broken_command_module:run")
    offered("fine", "fine_command_module:run")

    broken = CliRunner().invoke(main, ["broken"])
    assert broken.exit_code == 2
    assert broken.stderr.startswith("Error: The command 'broken' cannot be loaded")
    assert "RuntimeError: half installed" in broken.stderr
    assert CliRunner().invoke(main, ["fine"]).exit_code == 0
    assert CliRunner().invoke(main, ["--help"]).exit_code == 0


def test_entry_point_without_a_command_is_refused(offered: Callable[[str, str], None]) -> None:
    offered("number", "math:pi")
    result = CliRunner().invoke(main, ["number"])
    assert (result.exit_code, "math:pi is not a click command" in result.stderr) == (2, True)


def test_unknown_command_is_a_usage_error() -> None:
    result = CliRunner().invoke(main, ["no-such"])
    assert (result.exit_code, "No such command 'no-such'" in result.stderr) == (2, True)


@pytest.mark.parametrize(("error", "exit_code"), [(InputError("give a name."), 2), (BentoMonitorError("no."), 1)])
def test_own_error_is_shown_in_one_sentence_with_its_exit_code(
    monkeypatch: pytest.MonkeyPatch, error: BentoMonitorError, exit_code: int
) -> None:
    result = run_raising(monkeypatch, error)
    assert (result.exit_code, result.stdout, result.stderr) == (exit_code, "", f"Error: {error}\n")


def test_full_disk_is_shown_in_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    result = run_raising(monkeypatch, OSError(errno.ENOSPC, "No space left on device", "traces.db"))
    assert result.exit_code == 2
    assert result.stderr.startswith("Error: The disk is full (traces.db): free some space")


def test_other_system_errors_are_raised_unchanged(monkeypatch: pytest.MonkeyPatch) -> None:
    error = PermissionError(errno.EACCES, "Permission denied", "x")
    assert run_raising(monkeypatch, error).exception is error


@pytest.mark.parametrize("interruption", [KeyboardInterrupt(), click.Abort()])
def test_interrupted_command_says_so_and_exits_as_shells_expect(
    monkeypatch: pytest.MonkeyPatch, interruption: BaseException
) -> None:
    result = run_raising(monkeypatch, interruption)
    assert (result.exit_code, result.stderr) == (130, "Interrupted.\n")


def test_lazy_command_has_the_options_and_help_of_the_real_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    @click.command(epilog="The end.")
    @click.option("--size", type=int, required=True, help="How large.")
    @click.argument("target")
    def real(size: int, target: str) -> None:
        """Do the real thing."""
        click.echo(f"{target}={size}")
        if size < 0:
            raise InputError("--size must be positive.")

    monkeypatch.setattr(loading, "load_command", lambda name: real)
    lazy = LazyCommand("optimize")
    shown = CliRunner().invoke(lazy, ["--help"]).output
    assert all(text in shown for text in ("Do the real thing.", "--size", "How large.", "TARGET", "The end."))
    assert CliRunner().invoke(lazy, ["a:B", "--size", "3"]).output == "a:B=3\n"
    assert CliRunner().invoke(lazy, ["a:B"]).exit_code == 2
    failed = CliRunner().invoke(lazy, ["a:B", "--size=-1"])
    assert (failed.exit_code, failed.stderr) == (2, "Error: --size must be positive.\n")


def test_bentoml_monitor_has_the_same_commands() -> None:
    context = click.Context(bentoml_monitor)
    assert set(bentoml_monitor.list_commands(context)) >= OURS


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [(["--help"], "optimize"), (["monitor", "--help"], "doctor"), (["optimize", "--help"], "--max-drop")],
)
def test_bentoml_finds_the_commands(arguments: list[str], expected: str) -> None:
    bentoml = Path(sys.executable).with_name("bentoml")
    done = subprocess.run([bentoml, *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert expected in done.stdout
