"""The space of a search, as a readable table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rich.console import Console
from rich.table import Table

from ..search_space.recipe import FamilySpace

_MEANING = {
    "sub_batch_size": " (0: the batch whole; others only if the model's rows can be separated)",
    "cuda_graphs": " (only a model on a GPU that gives its own outputs so)",
    "window_ms": " (those a lone client can bear)",
}


def print_space(console: Console, title: str, knobs: Mapping[str, Sequence[float]], precisions: FamilySpace) -> None:
    """Print the values of every knob, and what is cut and why."""
    table = Table("knob", "values", title=title, title_justify="left")
    for index, family in enumerate(precisions.families):
        first, *others = [" ".join(recipe.kind) for recipe in family.rungs]
        text = first + (f"; if it is not accurate enough or fails: {', '.join(others)}" if others else "")
        table.add_row("precision" if index == 0 else "", text)
    for name, values in knobs.items():
        table.add_row(name, ", ".join(map(_written, values)) + _MEANING.get(name, ""))
    console.print(table, markup=False)
    for cut in precisions.cuts:
        console.print(f"not tried: {cut.what}: {cut.why}", highlight=False, markup=False)


def _written(value: float) -> str:
    """Write a value as `--space` takes it."""
    return str(value).lower() if isinstance(value, bool) else f"{value:g}"
