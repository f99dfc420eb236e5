"""A profile as one self-contained HTML page: SVG plots, tables and findings."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from ..profile_record import Finding, LoadPoint, Profile
from .page_standalone import section_of
from .sentences import bottleneck_of, error_texts, gpu_texts, latency_text, probe_text, share_text, slo_text
from .svg import WIDTH, dot, legend, line, paragraphs, svg, table, text

_HEIGHT, _LEFT, _BOTTOM = 300, 76, 40
_COLORS = {50.0: "#2b7bba", 95.0: "#e08a1e", 99.0: "#c0392b"}
_STAGE_COLORS = [
    "#9ecae1",
    "#6baed6",
    "#3182bd",
    "#08519c",
    "#fdae6b",
    "#fd8d3c",
    "#e6550d",
    "#31a354",
    "#a1d99b",
    "#756bb1",
    "#bcbddc",
    "#969696",
]
_STYLE = """
body { font: 15px/1.45 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c2733; }
h1 { font-size: 1.5rem; margin-bottom: .2rem } h2 { font-size: 1.15rem; margin-top: 2rem }
.dim { color: #66737f } table { border-collapse: collapse; font-variant-numeric: tabular-nums }
td, th { padding: .25rem .8rem .25rem 0; text-align: right; border-bottom: 1px solid #e3e8ec; white-space: nowrap }
td:first-child, th:first-child { text-align: left }
.answers { display: flex; gap: 1rem; flex-wrap: wrap; margin: 1.2rem 0 }
.answers div { background: #f3f6f8; border-radius: 8px; padding: .8rem 1.1rem; flex: 1 1 14rem }
.answers b { font-size: 1.5rem; display: block }
.finding { border-left: 4px solid #c0392b; padding: .2rem 1rem; margin: 1rem 0 }
.scroll { overflow-x: auto } svg { max-width: 100%; height: auto }
.legend span { margin-right: 1rem; white-space: nowrap }
.swatch { display: inline-block; width: .8em; height: .8em; border-radius: 2px; margin-right: .35em }
@media (prefers-color-scheme: dark) { body { background: #15191d; color: #dde4ea } .answers div { background: #20262c }
td, th { border-color: #2d353c } .dim { color: #93a0ab } svg text { fill: #dde4ea } }
"""
_NOTE = (
    "Latency counts from the planned time of each request. Each bound holds with 99 % confidence; ~ marks a percentile "
    "of too few requests for a bound."
)


def page_of(profile: Profile) -> str:
    """Return the page as HTML.

    The page marks percentiles of too few requests with ~, and the ratio to the standalone function varies on a busy
    machine.
    """
    title = f"{profile.target}{profile.path}"
    workers = "1 worker" if profile.workers == 1 else f"{profile.workers} workers"
    cpu, cores = profile.machine.get("cpu_model"), profile.machine.get("usable_cpus")
    about = f"served as {profile.served_as} by {workers} on {cpu}, {cores} cores{probe_text(profile)}"
    parts = [
        f"<h1>{escape(title)}</h1>",
        f'<p class="dim">{escape(about)}</p>',
        _summary(profile),
        "".join(map(_finding, profile.findings)),
        "" if profile.slo is None else f"<p>{escape(slo_text(profile.slo))}</p>",
        "<h2>Latency by load</h2>",
        _latency_plot([point for point in profile.points if point.offered_rps is not None]),
        _stages(profile.points),
        "" if profile.standalone is None else section_of(profile.standalone),
        paragraphs(gpu_texts(profile.capacity)),
        "<h2>All loads</h2>",
        _table(profile.points),
        paragraphs(error_texts(profile.points)),
        f'<p class="dim">{_NOTE}</p>',
    ]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{escape(title)}</title>'
    return (
        f"<!doctype html><html lang=en><head>{head}<style>{_STYLE}</style></head><body>{''.join(parts)}</body></html>\n"
    )


def _summary(profile: Profile) -> str:
    one_client, most = profile.points[0], profile.capacity
    bottleneck = (profile.findings[0].title, "see below") if profile.findings else bottleneck_of(profile)
    load = f"with {most.name}" if most.offered_rps is None else f"{most.name} offered"
    cells = [
        ("throughput", f"{most.throughput_rps:.0f} requests/s", load),
        _upper_bound(profile),
        ("latency", f"{one_client.latency_ms(50.0):.1f} ms", "median of one client"),
        ("bottleneck", *bottleneck),
    ]
    return (
        '<div class="answers">'
        + "".join(
            f"<div>{escape(label)}<b>{escape(value)}</b><span class=dim>{escape(note)}</span></div>"
            for label, value, note in cells
        )
        + "</div>"
    )


def _upper_bound(profile: Profile) -> tuple[str, str, str]:
    label, standalone = "upper bound", profile.standalone
    if standalone is None:
        return label, "unknown", "the function could not be called without a server"
    return label, f"{standalone.items_per_s:.0f} requests/s", f"standalone function {share_text(profile, standalone)}"


def _finding(finding: Finding) -> str:
    lines = "".join(f"<li>{escape(line)}</li>" for line in finding.evidence)
    return f'<div class="finding"><b>{escape(finding.title)}</b><ul>{lines}</ul><p>{escape(finding.remedy)}</p></div>'


def _latency_plot(points: Sequence[LoadPoint]) -> str:
    if not points:
        return "<p>No load with an offered rate was measured.</p>"
    values = [value for point in points for each in point.latencies for value in (each.value_ms, each.high_ms) if value]
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)) + 1e-9)
    widest = max(point.offered_rps or 0.0 for point in points) * 1.05

    def x(rate_rps: float) -> float:
        return _LEFT + (WIDTH - _LEFT - 16) * rate_rps / widest

    def y(value_ms: float) -> float:
        return 12 + (_HEIGHT - 12 - _BOTTOM) * (high - math.log10(value_ms)) / max(high - low, 1)

    marks = [line(_LEFT, y(10**power), WIDTH - 16, y(10**power), "#8884") for power in range(low, high + 1)]
    marks += [text(_LEFT - 8, y(10**power) + 4, f"{10**power:g} ms", "end") for power in range(low, high + 1)]
    marks += [
        text(x(point.offered_rps or 0), _HEIGHT - _BOTTOM + 18, f"{point.offered_rps:.0f}", "middle")
        for point in points
    ]
    marks.append(text((_LEFT + WIDTH) / 2, _HEIGHT - 4, "offered requests/s", "middle"))
    for index, percentile in enumerate(each.percentile for each in points[0].latencies):
        color = _COLORS[percentile]
        series = [(x(point.offered_rps or 0), point.latencies[index]) for point in points]
        path = " ".join(
            f"{'L' if step else 'M'}{at:.1f},{y(each.value_ms):.1f}" for step, (at, each) in enumerate(series)
        )
        marks.append(f'<path d="{path}" fill="none" stroke="{color}" stroke-width="2"/>')
        for at, each in series:
            if each.low_ms is not None and each.high_ms is not None:
                marks.append(line(at, y(each.low_ms), at, y(each.high_ms), color))
            bound = "" if each.high_ms is None else f", at most {each.high_ms:.2f} ms"
            tip = f"p{percentile:g}: {each.value_ms:.2f} ms{bound}"
            marks.append(dot(at, y(each.value_ms), color, tip))
    entries = [(f"p{percentile:g}", color) for percentile, color in _COLORS.items()]
    return svg(_HEIGHT, marks) + legend(entries)


def _stages(points: Sequence[LoadPoint]) -> str:
    shown = [point for point in points if point.stages]
    if not shown:
        return ""
    names = list(dict.fromkeys(stage.name for point in shown for stage in point.stages))
    longest = max(sum(point.stage_ms.values()) for point in shown)
    row, marks = 30, []
    for number, point in enumerate(shown):
        top, at = number * row + 6, 170.0
        marks.append(text(at - 10, top + 14, point.name, "end"))
        for name, mean_ms in point.stage_ms.items():
            width = (WIDTH - 250) * mean_ms / longest
            color = _STAGE_COLORS[names.index(name) % len(_STAGE_COLORS)]
            marks.append(
                f'<rect x="{at:.1f}" y="{top}" width="{max(width, 0.1):.1f}" height="20" fill="{color}">'
                f"<title>{escape(name)}: {mean_ms:.3f} ms</title></rect>"
            )
            at += width
        marks.append(text(at + 6, top + 14, f"{sum(point.stage_ms.values()):.2f} ms", "start"))
    entries = [(name, _STAGE_COLORS[index % len(_STAGE_COLORS)]) for index, name in enumerate(names)]
    return "<h2>Where the time goes</h2>" + svg(len(shown) * row + 8, marks) + legend(entries)


def _table(points: Sequence[LoadPoint]) -> str:
    heads = (
        "load",
        "requests/s",
        "p50 ms",
        "p95 ms",
        "p99 ms",
        "failed",
        "batch",
        "cores",
        "CPU us per request",
        "longest pause",
        "longest lag",
        "switches/s",
        "throttled",
        "MiB",
    )
    rows = []
    for point in points:
        server = point.server
        own = (
            ["-"] * 7
            if server is None
            else [
                f"{server.cpu_cores:.2f}",
                f"{server.cpu_us_per_request:.0f}",
                f"{server.pauses.longest_ms:.1f} ms",
                f"{server.longest_lag_ms:.1f} ms",
                f"{server.involuntary_switches_per_s:.0f}",
                f"{server.throttled_s:.1f} s",
                f"{server.rss_bytes / 2**20:.0f}",
            ]
        )
        latencies = [latency_text(each, decimals=2) for each in point.latencies]
        batch = "-" if point.batch_size is None else f"{point.batch_size:.1f}"
        rows.append([point.name, f"{point.throughput_rps:.0f}", *latencies, str(point.failed), batch, *own])
    return f'<div class="scroll">{table(heads, rows)}</div>'
