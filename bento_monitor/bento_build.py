"""While a Bento is built: check that its requirements list bento-monitor."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click

_NAME = re.compile(r"bento[-_.]monitor\b", re.IGNORECASE)
_REQUIREMENTS = re.compile(r"^\s*requirements_txt:\s*[\"']?([^\"'\n#]+)", re.MULTILINE)
_BENTOFILES = ("bentofile.yaml", "pyproject.toml")


def warn_if_not_listed(service: Any) -> None:
    """Warn if `bentoml build` imports a monitored service whose image does not install bento-monitor.

    Workers of that image would fail with an ImportError.
    """
    context = click.get_current_context(silent=True)
    if context is None or context.info_name != "build":
        return
    build_context, bentofile = context.params.get("build_ctx") or ".", context.params.get("bentofile")
    folder = Path(build_context) if Path(build_context).is_dir() else Path()
    texts = [getattr(getattr(service, "image", None), "python_requirements", ""), *_requirements(folder, bentofile)]
    if not any(_NAME.search(text) for text in texts):
        click.echo(
            f"Warning: the Bento of {service.name} does not list bento-monitor, which its code imports: add it to "
            "the image's python_packages, or to python.packages of bentofile.yaml.",
            err=True,
        )


def _requirements(folder: Path, bentofile: str | None) -> Iterator[str]:
    """Yield the text of each file that lists the requirements of a Bento built from `folder`."""
    for path in [Path(bentofile)] if bentofile else [folder / name for name in _BENTOFILES]:
        text = _text_of(path)
        yield text
        for requirements_file in _REQUIREMENTS.findall(text):
            yield _text_of(folder / requirements_file.strip())


def _text_of(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
