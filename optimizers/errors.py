"""Errors of the optimizer; all are `BentoMonitorError`s, so that one place turns them into exit codes."""

from bento_monitor.errors import BentoMonitorError, InputError


class StudyInputError(InputError):
    """A study specification, data set, metric or constraint cannot be used."""


class ArtifactError(BentoMonitorError):
    """An artifact could not be built or is not equal to the model it stands for."""


class NoWinnerError(BentoMonitorError):
    """No candidate met the constraints and was faster than the baseline."""
