"""Building blocks of the HTML page: tables, paragraphs, and the marks of SVG plots."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 760


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return an HTML table of texts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def paragraphs(texts: Iterable[str]) -> str:
    """Return each text as a paragraph."""
    return "".join(f"<p>{escape(each)}</p>" for each in texts)


def svg(height: int, marks: Sequence[str]) -> str:
    """Return a plot of the given height."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" font-size="12">{"".join(marks)}</svg>'


def line(x1: float, y1: float, x2: float, y2: float, color: str) -> str:
    """Return a line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{color}"/>'


def text(x: float, y: float, content: str, anchor: str) -> str:
    """Return text whose start, middle or end (`anchor`) is at a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(content)}</text>'


def dot(x: float, y: float, color: str, tip: str) -> str:
    """Return a point with a tooltip."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{color}"><title>{escape(tip)}</title></circle>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """Return a legend of colors and names."""
    spans = "".join(
        f'<span><i class="swatch" style="background:{color}"></i>{escape(name)}</span>' for name, color in entries
    )
    return f'<p class="legend">{spans}</p>'
