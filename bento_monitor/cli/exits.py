"""Exits of commands: an error raised on purpose becomes one sentence and an exit code, never a traceback."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

from ..errors import BentoMonitorError, DiskFullError
from ..resilience.atomic_files import is_disk_full
from ..resilience.printable import printable_lines

EXIT_INTERRUPTED = 130  # 128 + SIGINT, as shells count it


@contextmanager
def one_sentence() -> Iterator[None]:
    """Turn an error that stops a command into `Error: <sentence>` on stderr and an exit code."""
    try:
        with interrupted_once():
            yield
    except BentoMonitorError as error:
        raise _end(f"Error: {printable_lines(str(error))}", error.exit_code) from error
    except OSError as error:
        if not is_disk_full(error):
            raise
        full = DiskFullError(error.filename)
        raise _end(f"Error: {full}", full.exit_code) from error
    except (KeyboardInterrupt, click.Abort) as interruption:
        raise _end("Interrupted.", EXIT_INTERRUPTED) from interruption


@contextmanager
def interrupted_once() -> Iterator[None]:
    """Turn the first Ctrl-C or SIGTERM into an exception, and ignore a second, which would interrupt the cleanup."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    stops = (signal.SIGINT, signal.SIGTERM)

    def interrupt(_signal: int, _frame: object) -> NoReturn:
        for stop in stops:
            signal.signal(stop, signal.SIG_IGN)
        raise KeyboardInterrupt

    before = {stop: signal.signal(stop, interrupt) for stop in stops}
    try:
        yield
    finally:
        for stop, handler in before.items():
            signal.signal(stop, handler)


def _end(message: str, exit_code: int) -> click.exceptions.Exit:
    click.echo(message, err=True)
    return click.exceptions.Exit(exit_code)
