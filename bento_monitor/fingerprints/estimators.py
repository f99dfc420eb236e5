"""Hashing of estimators: parameters, fitted attributes, and the trees that XGBoost and LightGBM dump.

Nothing is pickled. The state of an object written in C comes from `__reduce__`, as in copying; an object without it
cannot be fingerprinted.
"""

from __future__ import annotations

import sys
import types
from collections import deque
from typing import Any

from ..errors import ReleaseError
from .classes import write_class
from .functions import write_function
from .objects import instance_attributes, write_attributes, write_object
from .origins import Origin, name_of_class, origin_of_class, origin_of_function
from .plain import PLAIN_BASES
from .rules import rules
from .walk import Rule, Walk

_HEAP_TYPE = 1 << 9  # Py_TPFLAGS_HEAPTYPE
_HELD: tuple[type, ...] = (list, dict, set, frozenset, tuple, deque, types.MappingProxyType, *PLAIN_BASES)
# The history, random state, speed and verbosity of training, which do not affect what a call computes.
_HISTORY = frozenset(
    {
        "_best_score",
        "_evals_result",
        "_random_seed",
        "best_score",
        "cv_results_",
        "evals_result_",
        "refit_time_",
        "train_score_",
        "validation_score_",
        "validation_scores_",
        "loss_curve_",
        "oob_improvement_",
        "n_jobs",
        "n_threads",
        "random_state",
        "verbose",
        "verbosity",
    }
)
# Filled by calls: a vectorizer keeps the address of its stop words, a sparse matrix whether it is sorted.
_CACHES = frozenset({"_stop_words_id"})
_SPARSE_CACHES = frozenset({"_has_canonical_format", "_has_sorted_indices"})
# The items in which a neighbor tree's state counts its queries.
_TREE_COUNTS = slice(7, 11)


def estimator_rules() -> tuple[Rule, ...]:
    """Return the rules of every model, and those for objects that only estimators hold."""
    return (
        (_is_xgboost, _write_xgboost),
        (_is_lightgbm, _write_lightgbm),
        (_is_ufunc, _write_ufunc),
        (_is_dispatcher, _write_dispatcher),
        (_is_generator, _write_generator),
        (lambda cls: issubclass(cls, types.FunctionType), _write_function),
        (lambda cls: issubclass(cls, type), _write_class),
        (_is_neighbor_tree, _write_neighbor_tree),
        (_is_extension, _write_extension),
        (_is_estimator, _write_estimator),
        (_is_sparse, _write_sparse),
        *rules(),
    )


def version_of(module: str) -> str:
    """Return the version of an imported library, by the name of one of its modules."""
    return str(getattr(sys.modules.get(module.partition(".")[0]), "__version__", ""))


def _is_xgboost(cls: type) -> bool:
    return _is_booster(cls, "xgboost")


def _is_lightgbm(cls: type) -> bool:
    return _is_booster(cls, "lightgbm")


def _is_booster(cls: type, library: str) -> bool:
    booster = getattr(sys.modules.get(library), "Booster", None)
    return isinstance(booster, type) and issubclass(cls, booster)


def _write_xgboost(walk: Walk, booster: Any, label: str, _is_deep: bool) -> None:
    """Write the model as XGBoost saves it, and of its attributes only the number of trees that predictions use."""
    walk.write("xgboost", version_of("xgboost"))
    kept = booster.attr("best_iteration")
    plain = booster.copy()
    plain.set_attr(**dict.fromkeys(booster.attributes()))
    walk.value(kept, label)
    walk.value(bytes(plain.save_raw("ubj")), label)


def _write_lightgbm(walk: Walk, booster: Any, label: str, _is_deep: bool) -> None:
    """Write all trees as text, without the training parameters that follow them."""
    text = booster.model_to_string(num_iteration=-1)
    trees, _, rest = text.partition("\nparameters:")
    walk.write("lightgbm", version_of("lightgbm"))
    walk.value(booster.best_iteration, label)
    walk.value(booster.pandas_categorical, label)
    walk.value(trees, label)
    walk.value(rest.partition("end of parameters")[2], label)


def _is_ufunc(cls: type) -> bool:
    import numpy as np

    return issubclass(cls, np.ufunc)


def _write_ufunc(walk: Walk, function: Any, label: str, _is_deep: bool) -> None:
    """Write a numpy or scipy function by its name; one made from Python code is refused, as its code is hidden."""
    name = str(function.__name__)
    for module in ("numpy", "scipy.special"):
        if getattr(sys.modules.get(module), name, None) is function:
            walk.write("ufunc", f"{module}.{name}")
            return
    raise ReleaseError(_unreadable(label, function))


def _is_dispatcher(cls: type) -> bool:
    return cls.__name__ == "_ArrayFunctionDispatcher" and cls.__module__.startswith("numpy")


def _write_dispatcher(walk: Walk, function: Any, _label: str, _is_deep: bool) -> None:
    walk.write("numpy function", f"{function.__module__}.{function.__qualname__}")


def _is_generator(cls: type) -> bool:
    import numpy as np

    return issubclass(cls, np.random.RandomState | np.random.Generator)


def _write_generator(walk: Walk, _value: Any, _label: str, _is_deep: bool) -> None:
    """Write that there is a random number generator, but not its state, which changes with every use."""
    walk.write("generator")


def _write_function(walk: Walk, function: Any, label: str, is_deep: bool) -> None:
    """Write a library's function as its name and the library's version, the user's function as its code."""
    if origin_of_function(function) is Origin.LIBRARY and not function.__closure__:
        module = str(function.__globals__.get("__name__"))
        walk.write("library function", f"{module}.{function.__code__.co_qualname} {version_of(module)}")
    else:
        write_function(walk, function, label, is_deep)


def _write_class(walk: Walk, cls: type, label: str, is_deep: bool) -> None:
    """Write a library's class as its name and the library's version, the user's class as its code."""
    if origin_of_class(cls) is Origin.LIBRARY:
        walk.write("library class", f"{name_of_class(cls)} {version_of(cls.__module__)}")
    else:
        write_class(walk, cls, label, is_deep)


def _is_neighbor_tree(cls: type) -> bool:
    return any(base.__name__.startswith("BinaryTree") and base.__module__.startswith("sklearn") for base in cls.__mro__)


def _write_neighbor_tree(walk: Walk, tree: Any, label: str, is_deep: bool) -> None:
    walk.refer(tree, label, is_deep, _neighbor_tree_content)


def _neighbor_tree_content(walk: Walk, tree: Any, label: str, _is_deep: bool) -> None:
    state = list(tree.__getstate__())
    del state[_TREE_COUNTS]
    walk.write("neighbor tree", name_of_class(type(tree)))
    walk.value(tuple(state), label)


def _is_extension(cls: type) -> bool:
    """Whether objects of the class keep their state in C, where no attribute shows it."""
    if issubclass(cls, (*_HELD, BaseException)) or _is_python_or_array(cls):
        return False
    return any(_is_in_c(base) for base in cls.__mro__)


def _is_python_or_array(cls: type) -> bool:
    import numpy as np

    return issubclass(cls, np.ndarray | np.generic | np.dtype) or origin_of_class(cls) is Origin.BY_NAME


def _is_in_c(base: type) -> bool:
    if origin_of_class(base) is Origin.BY_NAME:
        return False
    is_made_by_c = not base.__flags__ & _HEAP_TYPE or "__pyx_vtable__" in base.__dict__
    return is_made_by_c or type(base).__module__.startswith(("pybind11", "nanobind"))


def _write_extension(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    walk.refer(value, label, is_deep, _extension_content)


def _extension_content(walk: Walk, value: Any, label: str, _is_deep: bool) -> None:
    """Write the parts from which an object says it can be rebuilt."""
    try:
        reduced = value.__reduce__()
    except Exception as error:
        raise ReleaseError(_unreadable(label, value)) from error
    walk.write("reduced", f"{name_of_class(type(value))} {version_of(type(value).__module__)}")
    if isinstance(reduced, str):
        walk.write("named", reduced)
        return
    for part in reduced[1:3]:
        walk.value(part, label)


def _is_estimator(cls: type) -> bool:
    base = getattr(sys.modules.get("sklearn.base"), "BaseEstimator", None)
    return isinstance(base, type) and issubclass(cls, base)


def _write_estimator(walk: Walk, value: Any, label: str, _is_deep: bool) -> None:
    walk.refer(value, label, True, _estimator_content)


def _estimator_content(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    """Write the estimator's class, parameters and fitted attributes, without the history of training."""
    if isinstance(value, _HELD):
        write_object(walk, value, label, is_deep)
        return
    walk.write("estimator")
    walk.value(type(value), label)
    skipped = _HISTORY | _CACHES if origin_of_class(type(value)) is Origin.LIBRARY else _CACHES
    attributes = {name: each for name, each in instance_attributes(value).items() if name not in skipped}
    write_attributes(walk, attributes, label, True)


def _is_sparse(cls: type) -> bool:
    base = getattr(sys.modules.get("scipy.sparse._base"), "_spbase", None)
    return isinstance(base, type) and issubclass(cls, base)


def _write_sparse(walk: Walk, value: Any, label: str, is_deep: bool) -> None:
    walk.refer(value, label, is_deep, _sparse_content)


def _sparse_content(walk: Walk, value: Any, label: str, _is_deep: bool) -> None:
    walk.write("sparse", name_of_class(type(value)))
    attributes = {name: each for name, each in instance_attributes(value).items() if name not in _SPARSE_CACHES}
    write_attributes(walk, attributes, label, True)


def _unreadable(label: str, value: object) -> str:
    return (
        f"The model cannot be fingerprinted: {label} is a {type(value).__module__}.{type(value).__qualname__}, whose "
        "content cannot be read. No release can be made of the model; it is served and traced unchanged."
    )
