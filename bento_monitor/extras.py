"""What is installed only with an extra of bento-monitor, and the one command that brings it."""

from __future__ import annotations

import importlib.util

from .errors import InputError

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # of a module, where it has another name


def install_command(extra: str) -> str:
    """The command that installs an extra."""
    return f"pip install 'bento-monitor[{extra}]'"


def missing_distributions(*modules: str) -> list[str]:
    """Of these modules' distributions, those that are not installed."""
    return [_DISTRIBUTIONS.get(module, module) for module in modules if not _is_installed(module)]


def lack_of(extra: str, what: str, *modules: str) -> str | None:
    """What is missing of the modules that `what` needs, in a sentence with the command that brings it; None if nothing.

    `extra` is the one that brings them.
    """
    missing = missing_distributions(*modules)
    return f"{what} needs {_listed(missing)}: {install_command(extra)}" if missing else None


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Go on only where the modules that `what` needs are installed.

    Raises:
        InputError: one is not.
    """
    if (lack := lack_of(extra, what, *modules)) is not None:
        raise InputError(lack)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # it is imported, by something that has left no specification of it
        return True


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
