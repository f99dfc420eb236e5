"""Errors raised by bento_monitor. Each message says what was wrong, the value seen, and what to do next."""


class BentoMonitorError(Exception):
    """Base of all errors raised on purpose. A command prints the error and exits with `exit_code`."""

    exit_code: int = 1


class InputError(BentoMonitorError):
    """Unusable input from the user. Nothing was changed; the message says what to give instead."""

    exit_code = 2


class DiskFullError(InputError):
    """The disk is full. Files are written atomically, so stored data is intact."""

    def __init__(self, place: object) -> None:
        where = f" ({place})" if place else ""
        super().__init__(f"The disk is full{where}: free some space and run the command again; stored data is intact.")


class ServiceError(InputError):
    """The user's service cannot be imported, or does not have the requested part."""


class ReleaseError(BentoMonitorError):
    """A release cannot be read, verified or activated; `reason` is the cause in one word, for metrics."""

    def __init__(self, message: str, reason: str = "load") -> None:
        super().__init__(message)
        self.reason = reason


class ServerError(BentoMonitorError):
    """A server that a command started or uses did not respond as expected."""


class MeasurementError(BentoMonitorError):
    """A measurement is invalid, so no figure is reported."""
