from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bento_monitor.lab.model_host.answer_values import as_answers
from optimizers.accuracy.metrics import parse_metric
from optimizers.accuracy.outputs import predicted, read
from optimizers.accuracy.reading import choose_reading, read_labels
from optimizers.errors import StudyInputError

BINARY = np.array([0, 1, 1, 0])
PROBABILITY = np.array([0.03, 0.97, 0.5, 0.49])
ROWS = np.array([[0.7, 0.2, 0.1], [0.1, 0.8, 0.1], [0.2, 0.2, 0.6], [0.9, 0.05, 0.05]])
LOGITS = np.array([[3.0, -1, 0], [0, 2.5, 1], [-2, 0, 4], [5, 1, 1]])
THREE = np.array([0, 1, 2, 0])
NAMES = np.array(["ant", "bee", "cat", "ant"])


@pytest.mark.parametrize(
    ("answers", "labels", "metric", "description"),
    [
        (PROBABILITY, BINARY, "accuracy", "probability of class 1, threshold 0.5"),
        (PROBABILITY[:, None], BINARY, "accuracy", "probability of class 1, threshold 0.5"),
        (PROBABILITY.astype(np.float32), BINARY[:, None], "f1", "probability of class 1, threshold 0.5"),
        (PROBABILITY, BINARY.astype(bool), "accuracy", "probability of class 1, threshold 0.5"),
        (PROBABILITY, BINARY.astype(float), "accuracy", "probability of class 1, threshold 0.5"),
        (
            PROBABILITY,
            np.array(["no", "yes", "yes", "no"]),
            "accuracy",
            "probability of class yes, threshold 0.5 ('yes' taken as class 1, the last of the sorted labels)",
        ),
        (PROBABILITY, BINARY, "log_loss", "probability of class 1, threshold 0.5"),
        (PROBABILITY, BINARY, "roc_auc", "probability of class 1, threshold 0.5"),
        (PROBABILITY * 9 - 3, BINARY, "roc_auc", "score (only the order of scores counts)"),
        (BINARY, BINARY, "accuracy", "class ids"),
        (BINARY.astype(np.float32), BINARY, "accuracy", "class ids (given as 0.0 and 1.0)"),
        (BINARY.astype(bool), BINARY, "accuracy", "class ids"),
        (THREE.astype(np.float32), THREE, "accuracy", "class ids"),
        (THREE, THREE.astype(str), "accuracy", "class labels"),
        (NAMES, NAMES, "accuracy", "class labels"),
        (THREE, NAMES, "accuracy", "class labels (ids are positions in the sorted labels)"),
        (ROWS, THREE, "accuracy", "probabilities of 3 classes"),
        (ROWS.astype(np.float16), THREE, "accuracy", "probabilities of 3 classes"),
        (ROWS, np.eye(3)[THREE], "accuracy", "probabilities of 3 classes"),
        (ROWS, NAMES, "accuracy", "probabilities of 3 classes (columns taken in the sorted order of the labels)"),
        (ROWS, THREE + 1, "accuracy", "probabilities of 3 classes (columns taken in the sorted order of the labels)"),
        (LOGITS, THREE, "accuracy", "logits of 3 classes"),
        (LOGITS, THREE, "log_loss", "logits of 3 classes"),
        (
            np.array([[0, 0], [1, 1], [0, 1], [1, 0]]),
            np.array([[0, 0], [1, 1], [0, 0], [1, 0]]),
            "f1_macro",
            "labels of each sample as 0 or 1",
        ),
        (
            ROWS[:, :2],
            np.array([[0, 0], [1, 1], [0, 0], [1, 0]]),
            "f1_macro",
            "probability of each label, threshold 0.5",
        ),
        (LOGITS[:, :2], np.array([[0, 0], [1, 1], [0, 0], [1, 0]]), "roc_auc", "logit of each label, threshold 0"),
        (PROBABILITY, np.array([0.1, 0.9, 0.4, 0.4]), "mae", "score"),
        (LOGITS, NAMES, "recall@2", "vector"),
        (NAMES, NAMES, "wer", "text"),
        (NAMES, None, "agreement", "text (texts agree if equal)"),
        (THREE, None, "agreement", "class ids"),
        (PROBABILITY, None, "agreement", "score"),
        (LOGITS / np.linalg.norm(LOGITS, axis=1, keepdims=True), None, "agreement", "vector"),
    ],
)
def test_reading_is_inferred_from_type_shape_range_and_labels(
    answers: Any, labels: Any, metric: str, description: str
) -> None:
    assert choose_reading(answers, labels, parse_metric(metric)).description == description


@pytest.mark.parametrize(
    ("answers", "labels", "metric", "message"),
    [
        (PROBABILITY * 9 - 3, BINARY, "accuracy", "--output: classes, probability, probabilities, logit"),
        (PROBABILITY * 9 - 3, BINARY, "log_loss", "--output: probability, probabilities, logit"),
        (PROBABILITY * 3, THREE, "accuracy", "--output"),
        (LOGITS, None, "agreement", "--output.*vector"),
        (ROWS * 0.9, np.eye(3)[THREE], "accuracy", "--output"),
        (ROWS * 0.9, THREE, "log_loss", "--output"),
        (ROWS, THREE + 2, "accuracy", "columns taken|label is 4.*3 columns"),
        (ROWS, np.array(["a", "b", "a", "b"]), "accuracy", "probabilities=cat,dog"),
        (np.zeros((4, 2, 2)), BINARY, "accuracy", "shape .2, 2.*--metric module:function"),
        (np.zeros((4, 2, 2)), np.zeros((4, 2, 2)), "f1_macro", "--metric module:function"),
        (np.zeros((4, 2, 2)), BINARY, "roc_auc", "--metric module:function"),
        (np.zeros((4, 2, 2)), BINARY, "log_loss", "--metric module:function"),
        (np.zeros((4, 2, 2)), None, "agreement", "--metric module:function"),
        (np.array([7, 8, 9, 7]), THREE, "accuracy", "No answer is a label: an answer is 7, and a label 0"),
        (np.array(["A", "B", "C", "A"]), NAMES, "accuracy", "No answer is a label"),
        (BINARY, NAMES, "mae", "strings"),
        (NAMES, BINARY, "mae", "number was expected"),
        (LOGITS, BINARY, "mae", "as many numbers"),
        (PROBABILITY, BINARY, "recall@3", "vector"),
        (PROBABILITY, BINARY, "wer", "text"),
        (PROBABILITY, None, "accuracy", "needs labels.*agreement"),
        (PROBABILITY, BINARY[:3], "accuracy", "4 answers for 3 labels"),
        (PROBABILITY, PROBABILITY, "accuracy", "not a class"),
        (np.array([0.1, np.nan, 0.2, 0.4]), BINARY, "accuracy", "Sample 1 is answered with NaN"),
        (ROWS + np.array([[0.0], [0], [np.inf], [0]]), THREE, "accuracy", "Sample 2 is answered with NaN"),
        ([[1.0, 2.0], [1.0], [2.0], [3.0]], BINARY, "accuracy", "sample 1 with"),
    ],
)
def test_undetermined_reading_is_refused_with_the_reason_or_the_choices(
    answers: Any, labels: Any, metric: str, message: str
) -> None:
    if message.startswith("columns"):
        labels = np.array([2, 3, 4, 5])
        message = "label is 5.*3 columns"
    with pytest.raises(StudyInputError, match=message):
        choose_reading(answers, labels, parse_metric(metric))


def test_probability_is_compared_with_the_threshold() -> None:
    reading = choose_reading(PROBABILITY, BINARY, parse_metric("accuracy"))
    assert predicted(reading, read(reading, PROBABILITY)).tolist() == [0, 1, 1, 0]


def test_candidate_probabilities_are_read_like_a_baselines_exact_0_and_1() -> None:
    reading = choose_reading(BINARY.astype(float), BINARY, parse_metric("accuracy"))
    assert predicted(reading, read(reading, PROBABILITY)).tolist() == [0, 1, 1, 0]


@pytest.mark.parametrize(
    ("asked", "labels", "metric", "description"),
    [
        ("logit", BINARY, "accuracy", "logit of class 1, threshold 0"),
        ("logit", np.array(["no", "yes", "yes", "no"]), "log_loss", "logit of class yes, threshold 0"),
        ("logit=yes,no", np.array(["no", "yes", "yes", "no"]), "accuracy", "logit of class no, threshold 0"),
    ],
)
def test_user_can_name_the_kind_of_the_output(asked: str, labels: Any, metric: str, description: str) -> None:
    reading = choose_reading(PROBABILITY * 9 - 3, labels, parse_metric(metric), asked)
    assert reading.description.startswith(description)


def test_user_can_name_the_order_of_the_classes() -> None:
    reading = choose_reading(ROWS, NAMES, parse_metric("accuracy"), "probabilities=cat,bee,ant")
    assert predicted(reading, read(reading, ROWS)).tolist() == ["cat", "bee", "ant", "cat"]
    with pytest.raises(StudyInputError, match="2 classes.*distinguishes 3"):
        choose_reading(ROWS, NAMES, parse_metric("accuracy"), "probabilities=cat,bee")
    with pytest.raises(StudyInputError, match="'cat' is not one of the classes"):
        choose_reading(ROWS, NAMES, parse_metric("accuracy"), "probabilities=ant,bee,fly")
    with pytest.raises(StudyInputError, match="cannot be measured"):
        choose_reading(ROWS, NAMES, parse_metric("accuracy"), "vector")


DICTS = [{"label": int(p >= 0.5), "probability": float(p), "id": f"request {i}"} for i, p in enumerate(PROBABILITY)]


def test_metric_decides_the_field_of_a_dict() -> None:
    assert choose_reading(DICTS, BINARY, parse_metric("accuracy")).field == "label"
    ranked = choose_reading(DICTS, BINARY, parse_metric("log_loss"))
    assert ranked == choose_reading(DICTS, BINARY, parse_metric("log_loss"), "probability:probability")
    assert ranked.description == "field 'probability': probability of class 1, threshold 0.5"
    assert read(ranked, DICTS).tolist() == PROBABILITY.tolist()
    assert choose_reading(DICTS, BINARY, parse_metric("accuracy"), "probability").kind == "probability"
    with pytest.raises(StudyInputError, match="no field 'odds', only label, probability, id"):
        choose_reading(DICTS, BINARY, parse_metric("accuracy"), "odds")


def test_confidence_in_a_class_is_not_the_probability_of_class_1() -> None:
    answers = [
        {"label": name, "score": score} for name, score in (("no", 0.97), ("yes", 0.9), ("yes", 0.6), ("no", 0.7))
    ]
    labels = np.array(["no", "yes", "yes", "no"])
    assert choose_reading(answers, labels, parse_metric("accuracy")).field == "label"
    with pytest.raises(StudyInputError, match="label, score.*--output FIELD"):
        choose_reading(answers, labels, parse_metric("log_loss"))


def test_dict_with_several_fitting_fields_is_refused() -> None:
    answers = [{"first": float(p), "second": float(1 - p)} for p in PROBABILITY]
    with pytest.raises(StudyInputError, match=r"several of them fit \(first, second\)"):
        choose_reading(answers, BINARY, parse_metric("roc_auc"))


def test_user_function_gets_unchanged_answers(tmp_path: Any) -> None:
    (tmp_path / "judge_of_dicts.py").write_text("def f(answers, labels):\n    return 1.0\n")
    reading = choose_reading(DICTS, BINARY, parse_metric("judge_of_dicts:f", tmp_path))
    assert reading.kind == "raw"
    assert read(reading, DICTS) is DICTS


@pytest.mark.parametrize(
    ("values", "is_array"),
    [
        ([1, 2.5], True),
        (["a", "b"], True),
        ([[1, 2], [3, 4]], True),
        ([1, "a"], False),
        ([True, 2], False),
        ([[1], [1, 2]], False),
        ([None, 1.0], False),
        ([{"a": 1}], False),
        ([10**400, 0.5], False),
        ([], True),
    ],
)
def test_answers_of_one_type_and_shape_become_an_array(values: list[Any], is_array: bool) -> None:
    assert isinstance(as_answers(values), np.ndarray) is is_array


@pytest.mark.parametrize(("kind", "answers"), [("logit", np.zeros((4, 2))), ("text", BINARY), ("multilabel", ROWS * 9)])
def test_candidate_answers_that_do_not_fit_the_reading_are_refused(kind: Any, answers: Any) -> None:
    from optimizers.accuracy.outputs import OutputReading

    with pytest.raises(StudyInputError):
        read(OutputReading(kind), answers)


def test_one_hot_and_boolean_labels_are_read_as_classes() -> None:
    metric = parse_metric("accuracy")
    one_hot = choose_reading(ROWS, np.eye(3)[THREE], metric)
    assert read_labels(one_hot, np.eye(3)[THREE], metric).tolist() == THREE.tolist()
    flags = choose_reading(BINARY, BINARY.astype(bool), metric)
    assert read_labels(flags, BINARY.astype(bool), metric).tolist() == BINARY.tolist()


def test_digit_strings_name_columns_in_numeric_order() -> None:
    truth = np.arange(24) % 12
    rows = np.eye(12)[truth] * 0.9 + 0.1 / 12
    for labels in (truth.astype(str), (truth + 1).astype(str)):
        reading = choose_reading(rows, labels, parse_metric("accuracy"))
        assert predicted(reading, read(reading, rows)).tolist() == labels.tolist()
    few = choose_reading(rows[:8], truth[:8].astype(str), parse_metric("accuracy"))
    assert predicted(few, read(few, rows)).tolist() == truth.astype(str).tolist()


def test_given_class_order_defines_the_class_ids() -> None:
    ids = np.array([1, 0, 0, 1])
    labels = np.array(["cat", "dog", "dog", "cat"])
    reading = choose_reading(ids, labels, parse_metric("accuracy"), "classes=dog,cat")
    assert predicted(reading, read(reading, ids)).tolist() == labels.tolist()
    assert reading.description == "class labels (classes in the order of --output)"
    assert choose_reading(labels, labels, parse_metric("f1"), "classes=dog, cat").classes == ("dog", "cat")


@pytest.mark.parametrize(
    ("answers", "labels", "metric", "asked", "message"),
    [
        (THREE, THREE, "mae", "score=a,b", "does not use classes"),
        (LOGITS, NAMES, "recall@2", "vector=ant,bee", "does not use classes"),
        (THREE, NAMES, "accuracy", "classes=ant,bee,bee", "names a class twice"),
        (THREE, NAMES, "accuracy", "classes=ant,bee", "'cat' is not one of the classes"),
        (PROBABILITY, BINARY, "accuracy", "probabilty", "is not a dict.*no field 'probabilty'.*--output: classes"),
        (PROBABILITY, BINARY, "accuracy", "probabilty:score", "cannot be measured"),
    ],
)
def test_unusable_output_option_is_refused(answers: Any, labels: Any, metric: str, asked: str, message: str) -> None:
    with pytest.raises(StudyInputError, match=message):
        choose_reading(answers, labels, parse_metric(metric), asked)


@pytest.mark.parametrize("metric", ["f1", "precision", "recall", "jaccard"])
def test_note_names_class_1_of_two_named_classes(metric: str) -> None:
    labels = np.array(["malignant", "benign", "benign", "malignant"])
    reading = choose_reading(labels, labels, parse_metric(metric))
    assert reading.note == "'malignant' taken as class 1, the last of the sorted labels"


@pytest.mark.parametrize("answer", [None, [None, None]])
def test_answers_without_values_are_refused(answer: Any) -> None:
    with pytest.raises(StudyInputError, match="does it return the model's output"):
        choose_reading([answer] * 4, BINARY, parse_metric("accuracy"), None)


NAMED = [
    {"cat": 0.7, "dog": 0.2, "owl": 0.1},
    {"cat": 0.1, "dog": 0.8, "owl": 0.1},
    {"cat": 0.3, "dog": 0.3, "owl": 0.4},
]


@pytest.mark.parametrize("is_nested", [False, True])
@pytest.mark.parametrize(
    ("answers", "words"),
    [
        (NAMED, "probabilities of 3 classes (classes by the names of the fields)"),
        ([{name: 9 * value - 4 for name, value in each.items()} for each in NAMED], "logits of 3 classes"),
        ([{name: each[name] for name in ("owl", "dog", "cat")} for each in NAMED], "probabilities of 3 classes"),
    ],
)
def test_numbers_in_fields_are_read_by_class_name(
    answers: list[dict[str, float]], words: str, *, is_nested: bool
) -> None:
    labels = np.array(["cat", "dog", "owl"]) if "logits" in words else np.array(["cat", "dog", "cat"])
    given: Any = [{"scores": each, "took_ms": 3} for each in answers] if is_nested else answers
    reading = choose_reading(given, labels, parse_metric("accuracy"), "scores" if is_nested else None)
    assert words in reading.description
    assert predicted(reading, read(reading, given)).tolist() == ["cat", "dog", "owl"]
    # A release may return the fields in another order: the names decide.
    turned = [dict(reversed(each.items())) for each in answers]
    given = [{"scores": each} for each in turned] if is_nested else turned
    assert predicted(reading, read(reading, given)).tolist() == ["cat", "dog", "owl"]


@pytest.mark.parametrize(
    "answers",
    [
        [{**each, "took_ms": 3.0} for each in NAMED],
        [{"cat": 0.7, "dog": 0.3}, {"cat": 0.1, "owl": 0.9}, {"dog": 1.0}],
        [{name: str(value) for name, value in each.items()} for each in NAMED],
    ],
    ids=["another number", "missing classes", "texts"],
)
def test_dicts_without_one_number_per_class_are_refused(answers: list[dict[str, Any]]) -> None:
    with pytest.raises(StudyInputError, match="--output|not numbers or strings of one shape"):
        read(choose_reading(answers, np.array(["cat", "dog", "cat"]), parse_metric("accuracy")), answers)
