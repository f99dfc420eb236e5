"""Write the pages of docs/reference that come from the code: `make reference`."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click
from pydantic.fields import FieldInfo

from bento_monitor.cli import main as command_line
from bento_monitor.settings import MonitorSettings

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference"
_SET_BY_COMMANDS = ("profile_folder", "profile_stock")
_WIDTH = 100

_SETTINGS = """\
# Settings

Every setting is an environment variable, read once when a worker starts. [OpenTelemetry's variables](environment.md)
configure where traces and metrics go; that page also has the rules for unknown names and unusable values.
[What can be switched off](../switches.md) has what each part gains.

| variable | meaning | default |
|---|---|---|
"""

_COMMANDS = """\
# Commands

`bentoml monitor` and `bentoml optimize` are the same as `bento-monitor` and `bento-monitor optimize`. Errors that the
user can correct exit with code 2, and say what to do.
"""


def settings_page() -> str:
    """The table of all settings that users set."""
    fields = MonitorSettings.model_fields
    rows = [_row(name, field) for name, field in fields.items() if name not in _SET_BY_COMMANDS]
    return _SETTINGS + "".join(sorted(rows))


def commands_page() -> str:
    """The help text of every command."""
    context = _context(command_line, "bento-monitor")
    sections = [f"## {name}\n\n```text\n{text}\n```\n" for name, text in _help_texts(command_line, context)]
    return "\n".join([_COMMANDS, *sections])


def main() -> None:
    """Write both pages."""
    (REFERENCE / "settings.md").write_text(settings_page())
    (REFERENCE / "commands.md").write_text(commands_page())


def _row(name: str, field: FieldInfo) -> str:
    return f"| `BENTO_MONITOR_{name.upper()}` | {field.description} | {_default(name, field)} |\n"


def _default(name: str, field: FieldInfo) -> str:
    if name == "home":
        return "`$BENTOML_HOME/bento_monitor`"
    value = field.default
    if isinstance(value, tuple):
        return f"`{','.join(value)}`" if value else ""
    if value is None:
        return ""
    return f"`{str(value).lower()}`" if isinstance(value, bool) else f"`{value:.10g}`"


def _help_texts(command: click.Command, context: click.Context) -> Iterator[tuple[str, str]]:
    yield context.command_path, command.get_help(context)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            child = command.get_command(context, name)
            if child is not None and not child.hidden:
                yield from _help_texts(child, _context(child, name, context))


def _context(command: click.Command, name: str, parent: click.Context | None = None) -> click.Context:
    settings = {**command.context_settings, "terminal_width": _WIDTH, "max_content_width": _WIDTH}
    return click.Context(command, info_name=name, parent=parent, **settings)


if __name__ == "__main__":
    main()
