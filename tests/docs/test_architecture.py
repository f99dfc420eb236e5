"""The page on the architecture names files that exist, and keeps its promise of a short way through them."""

from __future__ import annotations

import re

import pytest
from pages import ROOT

PAGE = (ROOT / "docs" / "architecture.md").read_text()
PATHS = sorted({path for path in re.findall(r"`([\w/.]+(?:\.py|/))`", PAGE) if "NAME" not in path})
HOMES = [ROOT, *(ROOT / name for name in ("bento_monitor", "optimizers", "docs"))]
HOMES += [ROOT / "bento_monitor" / name for name in ("lab", "tracing", "backends")]
MAX_FILES_OF_A_REQUEST = 30


@pytest.mark.parametrize("path", PATHS)
def test_named_path_exists(path: str) -> None:
    assert any((home / path).exists() for home in HOMES)


def test_request_is_followed_through_few_files() -> None:
    section = PAGE.split("## A request, file by file")[1].split("\n## ")[0]
    rows = re.findall(r"^\| \d+ \| (.+?) \|", section, re.MULTILINE)
    files = {path for row in rows for path in re.findall(r"`([\w/]+\.py)`", row)}
    assert 20 <= len(files) <= MAX_FILES_OF_A_REQUEST + 1  # the last row names two exporters
