"""Serves a target monitored, in this process: `python -P -m bento_monitor.serving.launch TARGET [bentoml options]`.

A child of the command line, so that the user's module is never imported where `optimizers` may be.
"""

from __future__ import annotations

import sys
from pathlib import Path

from ..bentoml_hooks.services import load_service
from ..errors import BentoMonitorError


def main(arguments: list[str]) -> int:
    """Load the target first, so that what is wrong with it is one sentence; then be `bentoml serve`."""
    target, *options = arguments
    try:
        load_service(target, Path.cwd())
    except BentoMonitorError as error:
        sys.stderr.write(f"Error: {error}\n")
        return error.exit_code
    from bentoml_cli.cli import cli

    return int(cli.main(["serve", "bento_monitor.wrap:service", *options], "bentoml", standalone_mode=False) or 0)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
