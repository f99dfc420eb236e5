"""Commands that are found by name in an entry-point group, and imported only when they run."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any

import click

from ..errors import InputError
from .exits import one_sentence

COMMAND_GROUP = "bento_monitor.commands"

# Help lists these without importing the commands; a command of another distribution is listed by its name alone.
SHORT_HELP = {
    "doctor": "Show what is installed, what this machine has, and what works on it.",
    "optimize": "Search for the fastest way to serve a model that keeps its accuracy.",
    "profile": "Show how fast a service is, how fast it could be, and what limits it.",
    "release": "List, promote and roll back releases on a running server.",
    "serve": "Serve a BentoML service with monitoring, without changes to its code.",
    "traces": "List the slowest requests and show one as a waterfall.",
}


def load_command(name: str) -> click.Command | None:
    """Import the command `name`; return None if no distribution provides it.

    Raises:
        InputError: the command's module cannot be imported, or does not hold a command.
    """
    for entry in entry_points(group=COMMAND_GROUP, name=name):
        try:
            command = entry.load()
        except Exception as error:  # a command of another distribution may fail in any way
            reason = f"{type(error).__name__}: {error}"
            raise InputError(
                f"The command {name!r} cannot be loaded from {entry.value} ({reason}): "
                "install what is missing, or reinstall bento-monitor."
            ) from error
        if not isinstance(command, click.Command):
            raise InputError(f"The command {name!r} cannot be loaded: {entry.value} is not a click command.")
        return command
    return None


class LazyGroup(click.Group):
    """A group of all installed commands; listing them imports none of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the names of the commands, in alphabetical order."""
        return sorted({*entry_points(group=COMMAND_GROUP).names, *super().list_commands(ctx)})

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import the command of that name; return None if there is none."""
        return super().get_command(ctx, cmd_name) or load_command(cmd_name)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of commands without importing them."""
        rows = [(name, SHORT_HELP.get(name, "")) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error raised on purpose ends it with one sentence."""
        with one_sentence():
            return super().invoke(ctx)


class LazyCommand(click.Command):
    """A placeholder for one command, which is imported when it runs or its help is shown.

    The host program may add options and wrap `callback`, as BentoML does with the commands of plugins: both are kept,
    and the command's own options come first.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name, callback=self._run, short_help=SHORT_HELP[name])
        self._entry_name = name

    def _loaded(self) -> click.Command:
        command = load_command(self._entry_name)
        if command is None:
            raise InputError(f"The command {self._entry_name!r} is not installed: reinstall bento-monitor.")
        return command

    def _run(self, **parameters: Any) -> Any:
        callback = self._loaded().callback
        return callback(**parameters) if callback else None

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments with the options of the real command."""
        with one_sentence():
            return super().make_context(info_name, args, parent, **{**self._loaded().context_settings, **extra})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an error raised on purpose ends it with one sentence."""
        with one_sentence():
            return super().invoke(ctx)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """Return the options of the command, then those that the host program added."""
        return [*self._loaded().params, *super().get_params(ctx)]

    def format_help_text(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own description."""
        self._loaded().format_help_text(ctx, formatter)

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the command's own epilog."""
        self._loaded().format_epilog(ctx, formatter)
