"""The first page stays a first page."""

from __future__ import annotations

import re

import pytest
from pages import ROOT
from PIL import Image

README = (ROOT / "README.md").read_text()
PICTURES = re.findall(r"!\[[^]]+\]\((\S+\.png)\)", README)


def test_readme_is_short() -> None:
    assert len(README.splitlines()) <= 150
    assert len(README.encode()) <= 9_000


def test_readme_shows_a_trace_and_a_profile() -> None:
    assert PICTURES == ["docs/pictures/trace.png", "docs/pictures/profile.png"]


@pytest.mark.parametrize("picture", PICTURES)
def test_picture_is_readable_and_small(picture: str) -> None:
    assert (ROOT / picture).stat().st_size < 300 * 1024
    with Image.open(ROOT / picture) as image:
        assert image.format == "PNG"
        assert min(image.size) >= 300


@pytest.mark.parametrize("link", sorted(set(re.findall(r"\]\(((?!https?:)[^)#]+)", README))))
def test_link_of_readme_exists(link: str) -> None:
    assert (ROOT / link).exists()
