"""Mixed precision: how few operators must stay in float for a quantized graph to keep its accuracy."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..search_space.recipe import Quantization, Recipe

_MARK = "-float-"
# What a trial found: accurate enough, not accurate enough, or no faster than what is accepted already (or broken).
IsAccepted = Callable[[Recipe], bool | None]


def fewest_in_float(base: Recipe, ranking: Sequence[str], edges: Sequence[str], try_: IsAccepted, trials: int) -> None:
    """Try graphs like `base` with ever fewer operators in float; `try_` records what it accepts.

    First the operators at the graph's edges, its first and its last, stay in float: often they alone are at fault.
    Then the number of the most sensitive ones (`ranking` has them first) that stay in float is bisected: the accuracy
    grows and the speed falls with it. Finally, the operators in float are tried in int8 one by one, the least sensitive
    first. There are at most `trials` trials.
    """
    left = trials

    def attempt(excluded: Sequence[str], label: str) -> bool | None:
        nonlocal left
        left -= 1
        return try_(without(base, excluded, label))

    best: list[str] | None = None
    if attempt(edges, "edges"):
        best = list(edges)
    few, many = 0, len(ranking)
    while many - few > 1 and left > 0:
        count = (few + many) // 2
        if best is not None and count >= len(best):
            many = count
            continue
        verdict = attempt(ranking[:count], f"top-{count}")
        if verdict is False:
            few = count
        else:  # accurate enough, or too slow: fewer may stay in float
            many = count
            if verdict:
                best = list(ranking[:count])
    for name in sorted(best or (), key=lambda each: -list(ranking).index(each)):
        if left <= 0 or best is None or len(best) == 1:
            break
        fewer = [each for each in best if each != name]
        if attempt(fewer, f"{len(fewer)}-without-{list(ranking).index(name)}"):
            best = fewer


def without(base: Recipe, excluded: Sequence[str], label: str) -> Recipe:
    """Return the recipe with these operators in float, named by the label."""
    assert base.quantization is not None
    quantization: Quantization = replace(base.quantization, excluded=tuple(excluded))
    return replace(base, precision=f"{base.precision}{_MARK}{label}", quantization=quantization)


def mixed_record(recipe: Recipe) -> dict[str, Any]:
    """Return what a verdict stores, so that a resumed study knows the recipe (`mixed_recipes`)."""
    assert recipe.quantization is not None
    base, _, label = recipe.precision.partition(_MARK)
    return {"base": base, "label": label, "float": list(recipe.quantization.excluded)}


def mixed_recipes(recipes: Sequence[Recipe], verdicts: Mapping[str, Any]) -> list[Recipe]:
    """Return the mixed recipes of stored verdicts; their bases are among `recipes`."""
    by_name = {" ".join(recipe.kind): recipe for recipe in recipes}
    found = []
    for name, verdict in verdicts.items():
        if "float" in verdict:
            backend = name.partition(" ")[0]
            found.append(without(by_name[f"{backend} {verdict['base']}"], verdict["float"], verdict["label"]))
    return found
