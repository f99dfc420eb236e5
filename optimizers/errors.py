"""Errors of the optimizer; all are `BentoMonitorError`s, so that one place turns them into exit codes."""

from bento_monitor.errors import BentoMonitorError, InputError


class StudyInputError(InputError):
    """A study specification, data set, metric or constraint cannot be used."""


class ArtifactError(BentoMonitorError):
    """An artifact could not be built or is not equal to the model it stands for."""


class NoWinnerError(BentoMonitorError):
    """No candidate met the constraints and was faster than the baseline."""


_LONGEST_LINE = 200


def first_line(error: BaseException) -> str:
    """What an error says in its first line, cut where an exporter or a server says more than a person reads."""
    line = next((line.strip() for line in str(error).splitlines() if line.strip()), type(error).__name__)
    return line if len(line) <= _LONGEST_LINE else line[: _LONGEST_LINE - 3].rstrip() + "..."
