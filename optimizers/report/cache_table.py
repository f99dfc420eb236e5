"""The disk that studies and artifacts take, as a readable table."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table

from ..study_store import StoredItem

_MIB, _GIB = 2**20, 2**30


def print_items(console: Console, items: Sequence[StoredItem], root: str, limit_gib: float) -> None:
    """Print what a study folder holds by kind, and the limit."""
    table = Table("", "number", "MiB", "not used for (days)", title=root, title_justify="left")
    for kind in ("studies", "artifacts"):
        found = [item for item in items if item.kind == kind]
        ages = [item.age_days for item in found]
        days = f"{min(ages):.1f} to {max(ages):.1f}" if ages else ""
        table.add_row(kind, str(len(found)), f"{sum(item.size_bytes for item in found) / _MIB:.1f}", days)
    console.print(table, markup=False)
    total = sum(item.size_bytes for item in items) / _GIB
    console.print(
        f"{total:.2f} of at most {limit_gib:g} GiB: above, the next search removes what was not used for longest "
        "(--cache-gib sets the limit).",
        highlight=False,
    )
