"""The building blocks of a page: HTML tables and paragraphs, and the marks of an SVG plot."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

WIDTH = 760


def table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table of texts."""
    head = "".join(f"<th>{escape(name)}</th>" for name in heads)
    body = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><tr>{head}</tr>{body}</table>"


def paragraphs(texts: Iterable[str]) -> str:
    """Each text by itself."""
    return "".join(f"<p>{escape(each)}</p>" for each in texts)


def svg(height: int, marks: Sequence[str]) -> str:
    """A plot of this height."""
    return f'<svg viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" role="img" font-size="12">{"".join(marks)}</svg>'


def line(x1: float, y1: float, x2: float, y2: float, colour: str) -> str:
    """A line."""
    return f'<line x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}" stroke="{colour}"/>'


def text(x: float, y: float, content: str, anchor: str) -> str:
    """Text that begins, ends or has its middle at a point."""
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}" fill="currentColor">{escape(content)}</text>'


def dot(x: float, y: float, colour: str, tip: str) -> str:
    """A point that says what it is."""
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3.5" fill="{colour}"><title>{escape(tip)}</title></circle>'


def legend(entries: Sequence[tuple[str, str]]) -> str:
    """What the colours mean."""
    spans = "".join(
        f'<span><i class="swatch" style="background:{colour}"></i>{escape(name)}</span>' for name, colour in entries
    )
    return f'<p class="legend">{spans}</p>'
