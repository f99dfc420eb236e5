"""Every error that bento_monitor raises on purpose: what was wrong, the value seen, what to do next."""


class BentoMonitorError(Exception):
    """Base of all errors raised on purpose; a command that meets one prints it and exits with `exit_code`."""

    exit_code: int = 1


class InputError(BentoMonitorError):
    """What the user gave cannot be used. Nothing was changed; the message says what to give instead."""

    exit_code = 2


class DiskFullError(InputError):
    """There is no room for what was to be written; files are written whole, so what was stored is as it was."""

    def __init__(self, place: object) -> None:
        where = f" ({place})" if place else ""
        super().__init__(
            f"The disk is full{where}: free some space and run the command again; what was stored is whole."
        )


class ServiceError(InputError):
    """The user's service cannot be imported, or lacks what was asked of it."""


class ReleaseError(BentoMonitorError):
    """A release cannot be read, verified or taken over; `reason` is the kind of that in a word, for metrics."""

    def __init__(self, message: str, reason: str = "load") -> None:
        super().__init__(message)
        self.reason = reason


class ServerError(BentoMonitorError):
    """A server that a command started or talks to did not do what it must."""


class MeasurementError(BentoMonitorError):
    """A measurement is not valid, so no figure is given."""
