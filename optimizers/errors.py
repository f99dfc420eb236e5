"""Errors of the optimizer; all derive from `BentoMonitorError`, so that one place maps them to exit codes."""

from bento_monitor.errors import BentoMonitorError, InputError


class StudyInputError(InputError):
    """A study specification, data set, metric or constraint cannot be used."""


class ArtifactError(BentoMonitorError):
    """An artifact could not be built, or its answers differ from those of the model it was built from."""


class NoWinnerError(BentoMonitorError):
    """No candidate met the constraints and was faster than the baseline."""


_LONGEST_LINE = 200


def first_line(error: BaseException) -> str:
    """Return the first non-empty line of an error's message, truncated to 200 characters.

    Exporters and servers may raise errors with very long messages.
    """
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3].rstrip() + "..."
