"""What the field of an example asks beside its metric: its own figures, and the rate at which it keeps its limit."""

from __future__ import annotations

import importlib.util
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

from bento_monitor.lab.loadgen.slo import parse_slo
from bento_monitor.lab.loadgen.slo_search import find_rate_below
from bento_monitor.lab.model_host.answer_values import read_answers

from demo_swap import ApiLoad
from example_spec import Example

_MIN_S = 3.0


def field_figures(example: Example, data: Path, answers: Path) -> dict[str, float]:
    """Return the figures of an example's `field.py` for a file of answers to all samples; none without that module."""
    path = example.folder / "field.py"
    if not path.is_file():
        return {}
    spec = importlib.util.spec_from_file_location(f"field_of_{example.name}", path)
    if spec is None or spec.loader is None:
        raise ImportError(f"{path} cannot be imported.")
    module: Any = importlib.util.module_from_spec(spec)
    sys.path.insert(0, str(example.folder))  # it imports the example's other modules
    try:
        spec.loader.exec_module(module)
    finally:
        sys.path.remove(str(example.folder))
    found: dict[str, float] = module.figures(read_answers(answers), data)
    return found


def goodput_rps(load: ApiLoad, slo: str, capacity: float) -> float:
    """Return the highest rate of random arrivals at which an SLO such as `p99=50ms` is shown to be met; 0 if none is.

    `capacity` is the rate of a closed load, which no rate can exceed.
    """
    arriving = replace(load.open(capacity), arrivals="poisson", duration_s=_MIN_S, warmup_s=0.5)
    return find_rate_below(parse_slo(slo), arriving, capacity).rate_rps or 0.0
