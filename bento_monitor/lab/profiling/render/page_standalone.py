"""The page's section on the standalone function: its times, its operators, and the machine's roofline."""

from __future__ import annotations

import math
from collections.abc import Iterable
from html import escape

from ..profile_record import StandaloneProfile
from .sentences import operators_text, product_text
from .svg import WIDTH, dot, line, paragraphs, svg, table, text

_HEIGHT, _LEFT, _BOTTOM, _TOP = 290, 76, 40, 26
_ROOF, _POINT, _GRID = "#66737f", "#c0392b", "#8884"


def section_of(standalone: StandaloneProfile) -> str:
    """Return the section as HTML; its ratios to the machine's peaks vary on a busy machine."""
    peak = f"{standalone.gemm_gflops:.0f} GFLOP/s, and a copy {standalone.copy_gib_per_s:.1f} GiB/s"
    notes = [f"On this machine, {product_text(standalone)} reaches {peak}."]
    if standalone.alpha_ms is not None and standalone.beta_ms is not None:
        notes.insert(0, f"A batch takes {standalone.alpha_ms:.2f} ms plus {standalone.beta_ms:.2f} ms per item.")
    if standalone.peak_share is not None and standalone.gflop_per_item is not None:
        notes.append(
            f"An item takes {standalone.gflop_per_item:.2f} GFLOP: the largest batch reaches "
            f"{standalone.peak_share:.0%} of that peak."
        )
    batches = [
        (str(each.batch_size), f"{each.median_ms:.2f} ms", f"{each.batch_size / each.median_ms * 1e3:.0f}")
        for each in standalone.times
    ]
    parts = [
        "<h2>Standalone function</h2>",
        table(("batch", "median", "items/s"), batches),
        paragraphs(notes),
        _lengths(standalone),
        _roofline(standalone),
    ]
    if standalone.operators:
        shares = [(name, f"{share:.0%}") for name, share in standalone.operators]
        parts.append("<h2>Operators</h2>" + table(("operator", operators_text(standalone)), shares))
    return "".join(parts)


def _lengths(standalone: StandaloneProfile) -> str:
    if not standalone.length_times:
        return ""
    rows = [(str(each.length), f"{each.median_ms:.2f} ms") for each in standalone.length_times]
    return f"<h2>Time by input length</h2>{table((f'{standalone.length_unit} of one item', 'median'), rows)}"


def _roofline(standalone: StandaloneProfile) -> str:
    """Return a roofline plot: GFLOP/s by FLOP per byte, on logarithmic axes, with the machine's two peaks."""
    if not standalone.intensities:
        return ""
    ridge = standalone.gemm_gflops * 1e9 / (standalone.copy_gib_per_s * 2**30)
    across = _powers([ridge, *(each.flop_per_byte for each in standalone.intensities)])
    low_roof = standalone.roof_gflops(2.0 ** across[0])
    up = _powers([standalone.gemm_gflops, low_roof, *(each.gflops for each in standalone.intensities)])

    def x(flop_per_byte: float) -> float:
        return _LEFT + (WIDTH - _LEFT - 24) * (math.log2(flop_per_byte) - across[0]) / (across[-1] - across[0])

    def y(gflops: float) -> float:
        return _TOP + (_HEIGHT - _TOP - _BOTTOM) * (up[-1] - math.log2(gflops)) / (up[-1] - up[0])

    marks = [line(_LEFT, y(2.0**power), WIDTH - 24, y(2.0**power), _GRID) for power in up]
    marks += [text(_LEFT - 8, y(2.0**power) + 4, f"{2.0**power:g}", "end") for power in up]
    marks += [text(x(2.0**power), _HEIGHT - _BOTTOM + 18, f"{2.0**power:g}", "middle") for power in across]
    marks.append(text((_LEFT + WIDTH) / 2, _HEIGHT - 4, "FLOP per byte moved by the operators", "middle"))
    marks.append(text(_LEFT, _TOP - 12, "GFLOP/s", "middle"))
    marks += [
        line(x(2.0 ** across[0]), y(low_roof), x(ridge), y(standalone.gemm_gflops), _ROOF),
        line(x(ridge), y(standalone.gemm_gflops), x(2.0 ** across[-1]), y(standalone.gemm_gflops), _ROOF),
    ]
    for each in standalone.intensities:
        share = each.gflops / standalone.roof_gflops(each.flop_per_byte)
        tip = f"batch of {each.batch_size}: {each.gflops:.1f} GFLOP/s, {share:.0%} of the roof"
        marks.append(dot(x(each.flop_per_byte), y(each.gflops), _POINT, tip))
    first, last = standalone.intensities[0], standalone.intensities[-1]
    for each in {first.batch_size: first, last.batch_size: last}.values():
        is_left = x(each.flop_per_byte) < WIDTH / 2
        beside = x(each.flop_per_byte) + (8 if is_left else -8)
        marks.append(text(beside, y(each.gflops) + 4, f"batch of {each.batch_size}", "start" if is_left else "end"))
    note = (
        "The roof is the rate of a copy and of a matrix product on this machine. A point above the roof reuses cached "
        "data that is counted as moved, or computes in fewer bits than the matrix product."
    )
    return f'<h2>Roofline</h2>{svg(_HEIGHT, marks)}<p class="dim">{escape(note)}</p>'


def _powers(values: Iterable[float]) -> range:
    """Return the exponents of the powers of two that enclose all values, at least two exponents."""
    logs = [math.log2(value) for value in values]
    low, high = math.floor(min(logs)), math.ceil(max(logs))
    return range(low, max(high, low + 1) + 1)
