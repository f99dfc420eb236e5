"""Data frames of numbers, texts and categories, whose columns an estimator selects: the release has equal outputs.

The estimator itself serves calls for which no graph has equal outputs: a value that an encoder refuses, another column.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from estimators import inputs_of, methods_of, release_of
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, make_column_selector
from sklearn.ensemble import HistGradientBoostingClassifier, RandomForestClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from bento_monitor.errors import ServiceError
from bento_monitor.lab.model_host.convert_estimator import convert_estimator
from bento_monitor.lab.model_host.estimator_calls import array_estimator, calls_as_arrays
from bento_monitor.lab.model_host.estimator_parity import captured_rows, graph_parity
from bento_monitor.lab.model_host.state import CapturedCall
from bento_monitor.runner import MonitoredRunner

GENERATOR = np.random.default_rng(11)
COUNT = 600
FRAME = pd.DataFrame(
    {
        "age": GENERATOR.integers(18, 80, COUNT),
        "monthly income": GENERATOR.normal(3e3, 1e3, COUNT),
        "job": GENERATOR.choice(["clerk", "nurse", "pilot", "cook"], COUNT),
        "region": GENERATOR.integers(1, 6, COUNT),
        "owns": GENERATOR.random(COUNT) > 0.5,
        "note": [f"no two are alike: {index}" for index in range(COUNT)],
    }
)
HOLED = FRAME.assign(
    **{
        "monthly income": FRAME["monthly income"].where(GENERATOR.random(COUNT) > 0.1),
        "job": FRAME["job"].where(GENERATOR.random(COUNT) > 0.1),
    }
)
GRANTED = ((FRAME["monthly income"] > 3e3) ^ (FRAME["job"] == "nurse")).astype(int)
SCALED = ("scaled", StandardScaler(), ["age", "monthly income"])
LENIENT = OneHotEncoder(handle_unknown="ignore")


def over(*parts: Any, last: Any = None, **options: Any) -> Any:
    last = LogisticRegression() if last is None else last
    return make_pipeline(ColumnTransformer(list(parts), **options), last)


def filled(strategy: str, after: Any) -> Any:
    return make_pipeline(SimpleImputer(strategy=strategy), after)


ESTIMATORS: dict[str, Any] = {
    "numbers": lambda: over(SCALED),
    "job": lambda: over(SCALED, ("job", LENIENT, ["job"])),
    "strict": lambda: over(SCALED, ("job", OneHotEncoder(), ["job"]), ("region", OneHotEncoder(), ["region"])),
    "one encoder of two types": lambda: over(("both", LENIENT, ["job", "region"])),
    "flags": lambda: over(SCALED, ("flags", "passthrough", ["owns"]), ("job", OneHotEncoder(), ["job"])),
    "an encoded flag": lambda: over(SCALED, ("flags", OneHotEncoder(), ["owns"])),
    "ranks": lambda: over(
        SCALED, ("rank", OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1), ["job", "region"])
    ),
    "by position": lambda: over(("scaled", StandardScaler(), slice(0, 2)), ("job", OneHotEncoder(), [-4])),
    "by names from to": lambda: over(("scaled", StandardScaler(), slice("age", "monthly income"))),
    "by a mask": lambda: over(("scaled", StandardScaler(), [True, True, False, True, False, False])),
    "by type": lambda: over(
        ("numbers", StandardScaler(), make_column_selector(dtype_include="number")),
        ("job", LENIENT, make_column_selector(pattern="job")),
    ),
    "forest": lambda: over(SCALED, ("job", LENIENT, ["job"]), last=RandomForestClassifier(10, random_state=0)),
    "boosted": lambda: over(
        SCALED, ("job", OrdinalEncoder(), ["job"]), last=HistGradientBoostingClassifier(max_iter=9)
    ),
    "rest passes": lambda: over(
        ("job", LENIENT, ["job"]), ("not", "drop", ["note"]), remainder="passthrough", last=LinearRegression()
    ),
    "one within another": lambda: over(
        ("few", ColumnTransformer([("in", LENIENT, ["job"]), ("n", StandardScaler(), [0])]), ["age", "owns", "job"]),
        SCALED,
    ),
    "frames between": lambda: make_pipeline(
        ColumnTransformer([SCALED, ("job", OneHotEncoder(sparse_output=False), ["job"])]).set_output(
            transform="pandas"
        ),
        LogisticRegression(),
    ),
    "regression": lambda: over(SCALED, ("job", LENIENT, ["job"]), last=LinearRegression()),
    "found by search": lambda: GridSearchCV(
        over(SCALED, ("job", LENIENT, ["job"])), {"logisticregression__C": [0.1, 1]}, cv=2
    ),
    "no transformer": lambda: make_pipeline(OneHotEncoder(handle_unknown="ignore"), LogisticRegression()),
}
ALONE = {"no transformer": ["job", "region"]}


def frames_of(kind: str, frame: pd.DataFrame = FRAME) -> pd.DataFrame:
    return frame[ALONE[kind]] if kind in ALONE else frame


def taken_over(model: Any, folder: Path, samples: pd.DataFrame) -> MonitoredRunner:
    """Return a runner with an active release, made from calls with the samples."""
    runner, path = MonitoredRunner(model), folder / "model.onnx"
    methods = methods_of(model)
    outputs = {method: getattr(model, method)(samples) for method in methods}
    calls = [CapturedCall({runner.own_model.names[0]: samples}, outputs)]
    estimator = array_estimator("model", runner.own_model, calls)
    calls = calls_as_arrays(estimator, calls)
    rows = captured_rows(calls)
    inputs = inputs_of(runner, rows)
    specs = convert_estimator(estimator, methods, inputs, path, rows=rows)
    assert graph_parity(estimator, methods, path, calls).disagreement is None
    runner.activate(runner.prepare(release_of(runner, path, inputs, specs), folder))
    return runner


def assert_same(runner: MonitoredRunner, frame: pd.DataFrame) -> None:
    model = runner.own_model.model
    for method in methods_of(model):
        expected, found = getattr(model, method)(frame), getattr(runner, method)(frame)
        assert type(found) is type(expected)
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", ESTIMATORS)
def test_release_of_frames_equals_the_estimator(kind: str, tmp_path: Path) -> None:
    frame = frames_of(kind)
    model = ESTIMATORS[kind]().fit(frame, GRANTED)
    runner = taken_over(model, tmp_path, frame.iloc[:200])
    assert_same(runner, frame)
    assert_same(runner, frame.iloc[5:6])
    assert runner.fallbacks.totals() == {}


@pytest.mark.parametrize("dtype", ["category", "object"])
@pytest.mark.parametrize("kind", ["strict", "ranks", "forest"])
def test_texts_in_other_pandas_dtypes_give_the_same(kind: str, dtype: str, tmp_path: Path) -> None:
    frame = FRAME.astype({"job": dtype})
    model = ESTIMATORS[kind]().fit(frame, GRANTED)
    runner = taken_over(model, tmp_path, frame.iloc[:200])
    for given in (frame, FRAME, frame[frame["job"] != "cook"].sample(frac=1, random_state=0), frame.iloc[:1]):
        assert_same(runner, given)
    assert runner.fallbacks.totals() == {}


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_numbers_of_another_precision_fall_back_to_the_estimator(dtype: str, tmp_path: Path) -> None:
    frame = FRAME.astype({"monthly income": dtype})
    runner = taken_over(ESTIMATORS["forest"]().fit(frame, GRANTED), tmp_path, frame.iloc[:200])
    assert_same(runner, frame)
    assert runner.fallbacks.totals() == {}
    other = frame.astype({"monthly income": "float64" if dtype == "float32" else "float32"})
    assert_same(runner, other)
    assert sum(runner.fallbacks.totals().values()) == len(methods_of(runner.own_model.model))


@pytest.mark.parametrize("kind", ["job", "ranks", "no transformer", "by type", "found by search"])
def test_release_serves_unknown_values_of_a_lenient_encoder(kind: str, tmp_path: Path) -> None:
    frame = frames_of(kind)
    model = ESTIMATORS[kind]().fit(frame, GRANTED)
    runner = taken_over(model, tmp_path, frame.iloc[:200])
    assert_same(runner, frame.assign(job="astronaut"))
    assert_same(runner, frame.assign(job="unknown"))
    assert runner.fallbacks.totals() == {}


class Lengths(BaseEstimator, TransformerMixin):
    """An encoder that accepts unknown values and distinguishes them."""

    handle_unknown = "ignore"

    def fit(self, frame: Any, _y: Any = None) -> Lengths:
        self.categories_ = [np.unique(frame)]
        return self

    def transform(self, frame: Any) -> Any:
        return np.array([[len(str(value))] for value in np.asarray(frame)[:, 0]])


@pytest.mark.parametrize("kind", ["a number, too", "another encoder"])
def test_distinguishable_unknown_values_fall_back_to_the_estimator(kind: str, tmp_path: Path) -> None:
    parts = {
        "a number, too": [("coded", LENIENT, ["region"]), ("region", StandardScaler(), ["region"])],
        "another encoder": [("lengths", Lengths(), ["job"])],
    }
    model = over(*parts[kind], SCALED).fit(FRAME, GRANTED)
    if kind == "another encoder":  # which has no converter
        runner = MonitoredRunner(model)
        calls = [CapturedCall({"X": FRAME}, {"predict": model.predict(FRAME)})]
        frames = array_estimator("model", runner.own_model, calls).frames
        assert frames is not None
        assert frames.columns.rows(FRAME) is not None
        assert frames.columns.rows(FRAME.assign(job="astronaut")) is None
        return
    runner = taken_over(model, tmp_path, FRAME.iloc[:200])
    assert_same(runner, FRAME)
    assert runner.fallbacks.totals() == {}
    assert_same(runner, FRAME.assign(region=90))


@pytest.mark.filterwarnings("ignore:Found unknown categories")
def test_values_that_the_encoder_refuses_are_refused_as_before(tmp_path: Path) -> None:
    runner = taken_over(ESTIMATORS["strict"]().fit(FRAME, GRANTED), tmp_path, FRAME.iloc[:200])
    for column, value in (("job", "astronaut"), ("region", 9), ("region", 2.5), ("job", None)):
        with pytest.raises(ValueError, match="unknown categories"):
            runner.predict(FRAME.assign(**{column: value}))
    assert runner.fallbacks.totals() == {("svc-release:1", "dtype"): 4}


def test_other_frames_fall_back_to_the_estimator(tmp_path: Path) -> None:
    """The estimator accepts reordered and unneeded columns; not a missing one, text instead of numbers, or lists."""
    model = ESTIMATORS["job"]().fit(FRAME, GRANTED)
    runner = taken_over(model, tmp_path, FRAME.iloc[:200])
    for frame in (
        FRAME[FRAME.columns[::-1]],
        FRAME.drop(columns="note"),
        FRAME.assign(job=FRAME["job"].astype("string")),
    ):
        np.testing.assert_array_equal(runner.predict(frame), model.predict(frame))
    for frame, error in (
        (FRAME.drop(columns="job"), ValueError),
        (FRAME.assign(age="old"), ValueError),
        (FRAME.to_numpy().tolist(), ValueError),
        (FRAME.to_numpy(), ValueError),
    ):
        with pytest.raises(error):
            model.predict(frame)
        with pytest.raises(error):
            runner.predict(frame)
    assert sum(runner.fallbacks.totals().values()) == 6  # the texts of another type are the same to both


@pytest.mark.parametrize("strategy", ["most_frequent", "constant"])
def test_release_serves_missing_texts_that_are_imputed(strategy: str, tmp_path: Path) -> None:
    number = ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["monthly income"])
    text = ("text", filled(strategy, OneHotEncoder(handle_unknown="ignore")), ["job"])
    model = over(number, text).fit(HOLED, GRANTED)
    runner = taken_over(model, tmp_path, HOLED.iloc[:200])
    assert_same(runner, HOLED)
    assert_same(runner, HOLED.assign(job=np.nan).astype({"job": "str"}))
    assert_same(runner, pd.DataFrame([{**FRAME.iloc[0], "monthly income": None}]))
    assert runner.fallbacks.totals() == {}
    assert_same(
        runner, pd.DataFrame([{**FRAME.iloc[0], "job": None}])
    )  # for scikit-learn, None is not missing like NaN
    assert runner.fallbacks.totals() == {("svc-release:1", "dtype"): len(methods_of(model))}


def test_missing_numbers_before_trees_are_imputed_exactly(tmp_path: Path) -> None:
    """onnxruntime cannot impute float64, and skl2onnx stores the imputed values as float32."""
    number = ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["age", "monthly income"])
    last = RandomForestClassifier(60, random_state=0)
    model = over(number, ("text", filled("most_frequent", LENIENT), ["job"]), last=last).fit(HOLED, GRANTED)
    runner = taken_over(model, tmp_path, HOLED.iloc[:200])
    assert_same(runner, HOLED)
    assert_same(runner, pd.DataFrame([{**FRAME.iloc[0], "monthly income": None}]))
    assert runner.fallbacks.totals() == {}


def test_column_imputed_in_two_ways_equals_the_estimator(tmp_path: Path) -> None:
    one = ("mean", make_pipeline(SimpleImputer(), StandardScaler()), ["monthly income"])
    other = (
        "zero",
        make_pipeline(SimpleImputer(strategy="constant", fill_value=0), StandardScaler()),
        ["monthly income"],
    )
    model = over(one, other, ("job", LENIENT, ["job"])).fit(HOLED, GRANTED)
    runner = taken_over(model, tmp_path, FRAME.iloc[:200])
    assert_same(runner, FRAME)
    assert runner.fallbacks.totals() == {}
    assert_same(runner, HOLED.assign(job=FRAME["job"]))


def test_missing_value_without_an_imputer_falls_back_to_the_estimator(tmp_path: Path) -> None:
    model = over(SCALED, ("job", LENIENT, ["job"])).fit(FRAME, GRANTED)
    runner = taken_over(model, tmp_path, FRAME.iloc[:200])
    holed = FRAME.assign(job=HOLED["job"])
    np.testing.assert_array_equal(runner.predict(holed), model.predict(holed))
    assert runner.fallbacks.totals() == {("svc-release:1", "dtype"): 1}


def test_requests_of_one_row_are_released_even_if_some_have_no_array(tmp_path: Path) -> None:
    number = ("number", make_pipeline(SimpleImputer(), StandardScaler()), ["monthly income"])
    model = over(number, ("job", LENIENT, ["job"])).fit(HOLED, GRANTED)
    rows = [pd.DataFrame([row]) for row in HOLED.iloc[:60].astype(object).where(HOLED.notna(), None).to_dict("records")]
    assert sum(row["job"].iloc[0] is None for row in rows) > 2
    assert sum(row["monthly income"].iloc[0] is None for row in rows) > 2
    runner = MonitoredRunner(model)
    calls = [CapturedCall({"X": row}, {"predict_proba": model.predict_proba(row)}) for row in rows]
    estimator = array_estimator("model", runner.own_model, calls)
    arrays = calls_as_arrays(estimator, calls)
    assert len(arrays) == sum(row["job"].iloc[0] is not None for row in rows)
    for call in arrays:
        np.testing.assert_allclose(estimator.answer("predict_proba", call.inputs["X"]), call.outputs["predict_proba"])


TOLD: dict[str, tuple[Any, pd.DataFrame, str]] = {
    "free text": (lambda: over(("note", TfidfVectorizer(), "note")), FRAME, "the column note has dtype str"),
    "texts of two kinds": (
        lambda: over(
            SCALED,
            ("a", LENIENT, ["job"]),
            ("b", OneHotEncoder(categories=[["cook"]], handle_unknown="ignore"), ["job"]),
        ),
        FRAME,
        "the column job is encoded twice",
    ),
    "categories of no kind": (
        lambda: over(("a", LENIENT, ["half"])),
        FRAME.assign(half=FRAME["region"] / 2),
        "not all text, integers or bools",
    ),
}


@pytest.mark.parametrize("kind", TOLD)
def test_columns_that_no_graph_supports_are_refused_at_once(kind: str) -> None:
    make, frame, match = TOLD[kind]
    runner = MonitoredRunner(make().fit(frame, GRANTED))
    calls = [CapturedCall({runner.own_model.names[0]: frame}, {"predict": runner.own_model.model.predict(frame)})]
    with pytest.raises(ServiceError, match=match):
        array_estimator("model", runner.own_model, calls)
