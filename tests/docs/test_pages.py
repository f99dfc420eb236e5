"""Every command and every Python block of README and docs runs, except a few that are marked with a reason."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

import pytest
from jaeger_server import JaegerServer
from left_out import BUSY
from pages import LANGUAGES, ROOT, NoReleaseError, Project, blocks_of, run_page

MAX_NOT_RUN = 15
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
RUN_PAGES = [page for page in PAGES if any(block.language in ("bash", "python", "yaml") for block in blocks_of(page))]


@pytest.mark.parametrize("page", RUN_PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_block_of_a_page_runs(page: Path, tutorial_project: Project, request: pytest.FixtureRequest) -> None:
    if any(":16686" in block.text for block in blocks_of(page) if block.not_run is None):
        tutorial_project.replace(ports_of(request.getfixturevalue("jaeger")))
    if page.name == "tutorial.md":  # its blocks have run in the fixture
        if tutorial_project.noise is not None:
            pytest.skip(f"{BUSY}: {tutorial_project.noise}")
        return
    try:
        run_page(page, tutorial_project)
    except NoReleaseError as error:
        pytest.skip(f"{BUSY}: {error}")


def ports_of(jaeger: JaegerServer) -> dict[str, str]:
    """The fixed ports of Jaeger in the pages, and those of this one."""
    return {
        "4318": str(urlsplit(jaeger.otlp_http_endpoint).port),
        "16686": str(urlsplit(jaeger.query_url).port),
    }


def test_few_blocks_are_not_run_and_each_has_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    left_out = [block for page in PAGES for block in blocks_of(page) if block.not_run is not None]
    with capsys.disabled():
        print("\nBlocks of README and docs that do not run in tests:")
        for block in left_out:
            print(f"  {block}: {block.not_run}")
    assert len(left_out) <= MAX_NOT_RUN
    assert all(len(block.not_run.split()) >= 3 for block in left_out)


def test_every_block_names_its_language() -> None:
    unknown = [str(block) for page in PAGES for block in blocks_of(page) if block.language not in LANGUAGES]
    assert unknown == []
