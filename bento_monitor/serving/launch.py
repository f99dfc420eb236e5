"""Serve a monitored target in this process: `python -P -m bento_monitor.serving.launch [options of bentoml serve]`.

It runs as a child of the command line, so that the user's module is never imported into a process with `optimizers`.
"""

from __future__ import annotations

import os
import sys

from ..errors import BentoMonitorError, InputError
from ..integrations.bentoml.monitored_loading import start_monitored_workers
from ..resilience.printable import printable_lines
from .ports import check_port

WORKERS_VARIABLE = "_BENTO_MONITOR_SERVE_WORKERS"
"""The variable with the number of workers from `bento-monitor serve --workers`."""


def main(arguments: list[str]) -> int:
    """Run `bentoml serve` and return its exit code; print an error as one sentence."""
    import click
    from bentoml.exceptions import BentoMLException
    from bentoml_cli.cli import cli

    workers = os.environ.pop(WORKERS_VARIABLE, None)
    start_monitored_workers(check_port, int(workers) if workers else None)
    try:
        return int(cli.main(["serve", *arguments], "bentoml", standalone_mode=False) or 0)
    except BentoMonitorError as error:
        return _end(str(error), error.exit_code)
    except BentoMLException as error:
        return _end(f"{error}", InputError.exit_code)
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.exceptions.Exit as ending:
        return ending.exit_code
    except click.Abort:
        return 130


def _end(message: str, exit_code: int) -> int:
    sys.stderr.write(f"Error: {printable_lines(message)}\n")
    return exit_code


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
