"""Render the pictures of README and docs from real runs of the tutorial's service, and of each example from its demo.

`make pictures` renders all, `make pictures EXAMPLES="digits"` those of some examples alone.
"""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from pages import ROOT, Project, blocks_of
from PIL import Image, ImageChops
from rich.console import Console

from bento_monitor import conventions as names
from bento_monitor.cli.traces import print_waterfall
from bento_monitor.lab.loadgen import LoadSpec, run_load
from bento_monitor.tracing.store.database import store_path
from bento_monitor.tracing.store.reader import StoreReader

PICTURES, EXAMPLES = ROOT / "docs" / "pictures", ROOT / "examples"
_LOAD_S = 3.0
_CONNECTIONS = 8
_COLUMNS = 150
_MARGIN_PX = 24
_MIN_BATCH = 3
_STYLE = "margin:24px;font:17px/1.45 'DejaVu Sans Mono',monospace"
_PAGE = f'<!doctype html><meta charset="utf-8"><body style="margin:0;background:#fff"><pre style="{_STYLE}">%s</pre>'


def main() -> None:
    """Write the pictures of the examples that the arguments name, or of everything."""
    browser = shutil.which("chromium") or sys.exit("Chromium is needed: apt-get install chromium.")
    names = sys.argv[1:]
    if not names:
        _show_tutorial(browser)
    for name in names or sorted(path.parent.name for path in EXAMPLES.glob("*/trace.png")):
        _show_example(browser, name)


def _show_example(browser: str, name: str) -> None:
    """Run an example's short demo, and write the waterfall of one of its requests."""
    with tempfile.TemporaryDirectory() as home:
        command = [sys.executable, str(EXAMPLES / "common" / "demo.py"), name, "--short"]
        subprocess.run(command, cwd=home, check=True)
        page = Path(home) / "trace.html"
        page.write_text(_waterfall(Path(home) / f".bento-monitor/demo/{name}-short/monitor"))
        _shoot(browser, page, EXAMPLES / name / "trace.png", "1600,500")


def _show_tutorial(browser: str) -> None:
    """Run the tutorial's service, and write both pictures of it."""
    with tempfile.TemporaryDirectory() as home:
        folder = Path(home)
        project = Project(folder)
        try:
            for block in blocks_of(ROOT / "docs" / "tutorial.md"):
                if block.not_run is None:
                    project.run(block)
                if "bento-monitor serve" in block.text:
                    break
            _load(project.port, folder)
        finally:
            project.stop_server()
        (folder / "trace.html").write_text(_waterfall(project.home))
        command = ["bento-monitor", "profile", "service:Digits", "--data", "bodies.jsonl", "--html", "profile.html"]
        project.call(command).check_returncode()
        _shoot(browser, folder / "trace.html", PICTURES / "trace.png", "1600,500")
        _shoot(browser, folder / "profile.html", PICTURES / "profile.png", "1200,1100")


def _load(port: int, folder: Path) -> None:
    bodies = tuple((folder / "bodies.jsonl").read_bytes().splitlines())
    spec = LoadSpec(
        port=port, path="/classify", bodies=bodies, mode="closed", connections=_CONNECTIONS, duration_s=_LOAD_S, seed=0
    )
    result = run_load(spec)
    assert (result.status == 200).all()


def _waterfall(home: Path) -> str:
    """The waterfall of a typical request that shared its batch, as HTML."""
    reader = StoreReader(store_path(home))
    found = reader.slowest(10_000)
    middle = len(found) // 2
    for summary in [*found[middle:], *reversed(found[:middle])]:
        trace = reader.trace(summary.trace_id)
        if any(span.attributes.get(names.BATCH_SIZE, 0) >= _MIN_BATCH for span in trace.spans):
            break
    else:
        raise SystemExit(f"No traced request was in a batch of {_MIN_BATCH} or more.")
    console = Console(record=True, width=_COLUMNS, force_terminal=True, file=io.StringIO())
    print_waterfall(console, trace)
    return _PAGE % console.export_html(inline_styles=True, code_format="{code}")


def _shoot(browser: str, page: Path, picture: Path, size: str) -> None:
    shot = page.with_suffix(".png")
    options = [
        "--headless",
        "--no-sandbox",
        "--hide-scrollbars",
        "--disable-gpu",
        "--force-device-scale-factor=1.5",
        f"--window-size={size}",
    ]
    subprocess.run([browser, *options, f"--screenshot={shot}", page.as_uri()], check=True, capture_output=True)
    with Image.open(shot) as image:
        page_image = image.convert("RGB")
        box = ImageChops.invert(page_image).getbbox() or (0, 0, *image.size)  # what is not white
        right, bottom = (min(size, end + _MARGIN_PX) for size, end in zip(image.size, box[2:], strict=True))
        page_image.crop((0, 0, right, bottom)).quantize(64).save(picture, optimize=True)


if __name__ == "__main__":
    main()
