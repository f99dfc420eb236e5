"""Mixed precision: as few operators in float as the accuracy needs."""

from __future__ import annotations

from optimizers.search_space.recipe import Recipe, StaticInt8
from optimizers.stages.mixed import fewest_in_float, mixed_recipes, mixed_record, without

BASE = Recipe("onnxruntime", "int8-static-all-minmax-100", StaticInt8("minmax", 100))
RANKING = [f"n{index}" for index in range(16)]
EDGES = ["n7", "n3"]


class Trials:
    """Accepts a graph if the operators that must stay in float do; a graph with too many of them is too slow."""

    def __init__(self, needed: set[str], most: int = 100) -> None:
        self.accepted: list[set[str]] = []
        self.tried: list[Recipe] = []
        self._needed, self._most = needed, most

    def __call__(self, recipe: Recipe) -> bool | None:
        assert recipe.quantization is not None
        excluded = set(recipe.quantization.excluded)
        self.tried.append(recipe)
        if len(excluded) > self._most:
            return None
        if self._needed <= excluded:
            self.accepted.append(excluded)
            return True
        return False


def search(trials: Trials, count: int = 12) -> set[str] | None:
    fewest_in_float(BASE, RANKING, EDGES, trials, count)
    assert len(trials.tried) <= count
    names = [recipe.precision for recipe in trials.tried]
    assert len(set(names)) == len(names)
    return min(trials.accepted, key=len, default=None)


def test_edges_alone_are_enough_if_they_are_at_fault() -> None:
    trials = Trials({"n7"})
    assert search(trials) == {"n7"}
    assert trials.tried[0].precision == "int8-static-all-minmax-100-float-edges"


def test_number_in_float_is_bisected_in_the_order_of_sensitivity() -> None:
    assert search(Trials({"n0", "n1", "n2", "n3", "n4"})) == {"n0", "n1", "n2", "n3", "n4"}


def test_operators_that_were_ranked_too_high_are_given_back() -> None:
    assert search(Trials({"n0", "n4"}), count=20) == {"n0", "n4"}


def test_nothing_is_accepted_if_only_slow_graphs_are_accurate() -> None:
    assert search(Trials(set(RANKING[:10]), most=4)) is None


def test_trials_are_limited() -> None:
    trials = Trials({"n0", "n4"})
    search(trials, count=3)
    assert len(trials.tried) == 3


def test_mixed_recipe_is_known_again_from_its_stored_verdict() -> None:
    recipe = without(BASE, ["n1", "n5"], "top-2")
    verdicts = {
        "onnxruntime fp32": {"accepted": True},
        " ".join(recipe.kind): {"accepted": True} | mixed_record(recipe),
    }
    assert mixed_recipes([BASE], verdicts) == [recipe]
