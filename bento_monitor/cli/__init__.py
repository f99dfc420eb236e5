"""The command line: `bento-monitor ...`, `bentoml monitor ...` and `bentoml optimize ...`.

BentoML imports this module in each of its commands, so it imports only click, and finds commands by name.
"""

from __future__ import annotations

import click

from .loading import LazyCommand, LazyGroup

_SETTINGS = {"help_option_names": ["-h", "--help"], "max_content_width": 120}


@click.group(cls=LazyGroup, context_settings=_SETTINGS)
@click.version_option(package_name="bento-monitor")
def main() -> None:
    """Trace a BentoML service, find out where the time goes, and re-deploy it faster while it serves."""


@click.group(
    "monitor", cls=LazyGroup, context_settings=_SETTINGS, short_help="Trace, optimize and re-deploy a service."
)
def bentoml_monitor() -> None:
    """Trace a service, find out where the time goes, and re-deploy it faster while it serves."""


bentoml_optimize = LazyCommand("optimize")
