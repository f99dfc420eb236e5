"""While a Bento is built: whether what it lists to be installed has bento-monitor in it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

_NAME = re.compile(r"bento[-_.]monitor\b", re.IGNORECASE)
_REQUIREMENTS = re.compile(r"^\s*requirements_txt:\s*[\"']?([^\"'\n#]+)", re.MULTILINE)
_BENTOFILES = ("bentofile.yaml", "pyproject.toml")


def warn_where_left_out(service: Any) -> None:
    """Say it where `bentoml build` imports a service that we monitor and its image would not have us installed.

    Its workers would then end with an ImportError.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "build":
        return
    named, bentofile = context.params.get("build_ctx") or ".", context.params.get("bentofile")
    folder = Path(named) if Path(named).is_dir() else Path()
    texts = [getattr(getattr(service, "image", None), "python_requirements", ""), *_texts_of(folder, bentofile)]
    if not any(_NAME.search(text) for text in texts):
        click.echo(
            f"Warning: the Bento of {service.name} does not list bento-monitor, which its code imports: add it to "
            "the image's python_packages, or to python.packages of bentofile.yaml.",
            err=True,
        )


def _texts_of(folder: Path, bentofile: str | None) -> Iterator[str]:
    """What says what a Bento of this folder installs."""
    for path in [Path(bentofile)] if bentofile else [folder / name for name in _BENTOFILES]:
        text = _text_of(path)
        yield text
        for named in _REQUIREMENTS.findall(text):
            yield _text_of(folder / named.strip())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
