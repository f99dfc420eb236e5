"""Optional dependencies of bento-monitor, and the command that installs each extra."""

from __future__ import annotations

import importlib.util

from .errors import InputError

_DISTRIBUTIONS = {"sklearn": "scikit-learn"}  # module -> distribution, if the names differ


def install_command(extra: str) -> str:
    """Return the command that installs an extra."""
    return f"pip install 'bento-monitor[{extra}]'"


def missing_distributions(*modules: str) -> list[str]:
    """Return the distributions of `modules` that are not installed."""
    return [_DISTRIBUTIONS.get(module, module) for module in modules if not _is_installed(module)]


def missing_message(extra: str, what: str, *modules: str) -> str | None:
    """Return a sentence that names the missing modules and the command that installs them; None if none is missing.

    Args:
        extra: the extra of bento-monitor that installs the modules.
        what: the feature that needs the modules, as the subject of the sentence.
        modules: names of the modules.
    """
    missing = missing_distributions(*modules)
    return f"{what} needs {_listed(missing)}: {install_command(extra)}" if missing else None


def require_extra(extra: str, what: str, *modules: str) -> None:
    """Check that the modules that `what` needs are installed.

    Raises:
        InputError: a module is missing.
    """
    if (lack := missing_message(extra, what, *modules)) is not None:
        raise InputError(lack)


def _is_installed(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except ValueError:  # the module is imported, but has no spec
        return True


def _listed(names: list[str]) -> str:
    *others, last = names
    return f"{', '.join(others)} and {last}" if others else last
