"""The result of a study, as a readable table."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.table import Table


def print_result(console: Console, result: Mapping[str, Any]) -> None:
    """Print the result of a study, its comparison with the baseline, and the next command.

    Each ratio has its 95 % interval. The ratio of the baseline against itself shows the noise of the machine.
    """
    table = Table("", "before", "after", "change", title=f"{result['service']}.{result['api']}")
    low, high = result["speedup_ci95"]
    table.add_row(
        "requests per second",
        f"{result['baseline_rps']:.1f}",
        f"{result['optimized_rps']:.1f}",
        f"{result['speedup']:.2f} times [{low:.2f}, {high:.2f}]",
    )
    table.add_row(
        result["metric"],
        f"{result['baseline_accuracy']:.4f}",
        f"{result['optimized_accuracy']:.4f}",
        f"worse by at most {result['accuracy_drop_upper95']:.4f} of {result['accuracy_tolerance']:.4g} allowed",
    )
    table.add_row(
        f"{result['batch_dependence_measure']}, shared batch vs batch of one",
        f"{result['baseline_batch_dependence']:.4f}",
        f"{result['batch_dependence']:.4f}",
        "reported only",
    )
    percentile = result["half_load_percentile"]
    harm = (("a lone client, median", "alone_p50"), (f"at half of the load, p{percentile}", f"half_load_p{percentile}"))
    for label, name in harm:
        low, high = result[f"{name}_ratio_ci95"]
        table.add_row(
            label,
            f"{result[f'baseline_{name}_ms']:.1f} ms",
            f"{result[f'optimized_{name}_ms']:.1f} ms",
            f"{result[f'{name}_ratio']:.2f} times [{low:.2f}, {high:.2f}]",
        )
    console.print(table)
    aa_low, aa_high = result["aa_ratio_ci95"]
    console.print(
        f"Baseline against itself on this machine: {result['aa_ratio']:.3f} times [{aa_low:.3f}, {aa_high:.3f}]. The "
        f"smallest speed-up that this many blocks would show here, nine times in ten: {result['smallest_ratio']:.3f} "
        "times.",
        highlight=False,
    )
    if faults := result["blocks_thrown"]:
        low, high = result["speedup_with_thrown_ci95"]
        console.print(
            f"{len(faults)} blocks were thrown away, the last because {faults[-1]}; with these blocks the speed-up is "
            f"{result['speedup_with_thrown']:.2f} times [{low:.2f}, {high:.2f}].",
            highlight=False,
            markup=False,
        )
    for note in result["notes"]:
        console.print(note[:1].upper() + note[1:].rstrip(".") + ".", highlight=False, markup=False)
    export = None if result["export"] is None else result["export"]["export"]
    if export is not None and export["note"]:
        console.print(f"The graph: {export['note'].rstrip('.')}.", highlight=False, markup=False)
    console.print(f"Found: {result['candidate']}", highlight=False)
    console.print(f"Release: {result['release']}", highlight=False)
    console.print(f"Next: bento-monitor release promote {result['release']}", highlight=False)
