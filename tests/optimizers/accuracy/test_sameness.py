from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from optimizers.accuracy.outputs import OutputReading
from optimizers.accuracy.sameness import AnswerCheck, ServedVerdict

N = 400
GENERATOR = np.random.default_rng(0)
LOGITS = GENERATOR.normal(size=(N, 3)) * 2
ROWS = np.exp(LOGITS) / np.exp(LOGITS).sum(axis=1, keepdims=True)
SKEWED = (GENERATOR.random(N) < 0.1).astype(np.int64)
POSITIVE = 5 + GENERATOR.normal(size=(N, 32))
HEAVY = GENERATOR.standard_t(1.2, size=N)
SENTENCES = np.array([f"sentence {i % 37}" for i in range(N)])
WIDE = GENERATOR.normal(size=(N, 64))

OUTPUTS: dict[str, tuple[OutputReading, np.ndarray]] = {
    "class ids": (OutputReading("classes"), LOGITS.argmax(axis=1)),
    "skewed class ids": (OutputReading("classes"), SKEWED),
    "class names": (OutputReading("classes"), np.array(["ant", "bee", "cat"])[LOGITS.argmax(axis=1)]),
    "texts": (OutputReading("text"), SENTENCES),
    "labels": (OutputReading("multilabel"), (LOGITS > 1).astype(np.int64)),
    "probability": (OutputReading("probability", classes=(0, 1), threshold=0.5), ROWS[:, 0]),
    "probability, saturated": (
        OutputReading("probability", classes=(0, 1), threshold=0.5),
        1 / (1 + np.exp(-20 * LOGITS[:, 0])),
    ),
    "probabilities": (OutputReading("probabilities", classes=(0, 1, 2)), ROWS),
    "logits": (OutputReading("logits", classes=(0, 1, 2)), LOGITS),
    "score": (OutputReading("score"), LOGITS[:, 0]),
    "score far from zero": (OutputReading("score"), 1000 + LOGITS[:, 0]),
    "score with heavy tails": (OutputReading("score"), HEAVY),
    "vectors": (OutputReading("vector"), WIDE),
    "normalized vectors": (OutputReading("vector"), WIDE / np.linalg.norm(WIDE, axis=1, keepdims=True)),
    "all-positive vectors": (OutputReading("vector"), POSITIVE),
}
EXACT = {"class ids", "skewed class ids", "class names", "texts", "labels"}


def judged(name: str, change: Callable[[np.ndarray, np.ndarray], Any], *, count: int = 150) -> ServedVerdict:
    reading, reference = OUTPUTS[name]
    samples = np.random.default_rng(1).permutation(N)[:count]
    answers = change(reference, samples)
    check = AnswerCheck(reading, reference, accepted_flip_share=0.02)
    served = [(int(sample), answer) for sample, answer in zip(samples, answers.tolist(), strict=True)]
    return check.judge(served)


@pytest.mark.parametrize("count", [12, 150])
@pytest.mark.parametrize("name", OUTPUTS)
def test_own_answers_are_accepted(name: str, count: int) -> None:
    found = judged(name, lambda own, samples: own[samples], count=count)
    assert (found.wrong, found.is_same_model) == ((), True), found.sentence


@pytest.mark.parametrize("name", OUTPUTS.keys() - EXACT)
def test_rounding_of_an_int8_model_in_other_batches_is_accepted(name: str) -> None:
    def move(own: np.ndarray, samples: np.ndarray) -> np.ndarray:
        spread = np.median(np.abs(own - np.median(own)))
        moved = own[samples] + np.random.default_rng(2).normal(size=own[samples].shape) * 0.03 * spread
        return np.clip(moved, 0, 1) if OUTPUTS[name][0].kind.startswith("prob") else moved

    assert judged(name, move).is_same_model, judged(name, move).sentence


@pytest.mark.parametrize("share", [0.003, 0.05])
def test_rounding_of_a_mostly_confident_model_is_accepted(share: float) -> None:
    generator = np.random.default_rng(4)
    reference = np.where(generator.random(3000) < share, 0.99, 1e-6 * generator.random(3000))
    check = AnswerCheck(OutputReading("probability", classes=(0, 1), threshold=0.5), reference)
    samples = range(600)
    moved = np.clip(reference + generator.normal(size=3000) * 1e-4, 0, 1)
    assert check.judge([(i, float(moved[i])) for i in samples]).is_same_model
    assert not check.judge([(i, float(reference[i - 1])) for i in samples]).is_same_model


@pytest.mark.parametrize("count", [40, 150])
@pytest.mark.parametrize("name", OUTPUTS)
def test_answers_to_other_samples_are_rejected(name: str, count: int) -> None:
    found = judged(name, lambda own, samples: own[np.roll(samples, 1)], count=count)
    assert not found.is_same_model, found.sentence


@pytest.mark.parametrize("count", [40, 150])
@pytest.mark.parametrize("name", OUTPUTS)
def test_constant_answer_is_rejected(name: str, count: int) -> None:
    def most_frequent(own: np.ndarray, samples: np.ndarray) -> np.ndarray:
        values, counts = np.unique(own, axis=0, return_counts=True)
        return np.repeat(values[[counts.argmax()]], len(samples), axis=0)

    assert not judged(name, most_frequent, count=count).is_same_model


@pytest.mark.parametrize("name", OUTPUTS.keys() - EXACT)
def test_mean_answer_is_rejected(name: str) -> None:
    def mean(own: np.ndarray, samples: np.ndarray) -> np.ndarray:
        return np.repeat(own.mean(axis=0, keepdims=True), len(samples), axis=0)

    assert not judged(name, mean).is_same_model


@pytest.mark.parametrize("factor", [-1.0, 0.0, 0.5, 1.3, 2.0, 100.0])
@pytest.mark.parametrize("name", [name for name in OUTPUTS if name not in EXACT])
def test_answers_of_another_sign_or_scale_are_rejected(name: str, factor: float) -> None:
    assert not judged(name, lambda own, samples: own[samples] * factor).is_same_model


@pytest.mark.parametrize("name", [name for name in OUTPUTS if name in EXACT])
def test_one_flip_is_accepted_and_a_tenth_is_rejected(name: str) -> None:
    reading, reference = OUTPUTS[name]
    flipped = reference.copy()
    flipped[:1] = reference[reference.tolist().index(next(v for v in reference.tolist() if v != reference[0].tolist()))]
    check = AnswerCheck(reading, reference)
    samples = list(range(200))
    found = check.judge([(i, flipped[i].tolist()) for i in samples])
    assert (found.wrong, found.is_same_model) == ((0,), True), found.sentence
    tenth = [(i, reference[i].tolist() if i % 10 else flipped[0].tolist()) for i in samples]
    assert not check.judge(tenth).is_same_model


def test_repeated_flip_of_one_sample_counts_once() -> None:
    reference = np.arange(100) % 5
    check = AnswerCheck(OutputReading("classes"), reference)
    served = [(i, int(reference[i])) for i in range(100)] + [(0, 3)] * 50
    found = check.judge(served)
    assert len(found.wrong) == 50
    assert found.is_same_model


def test_zero_vectors_equal_only_zero_vectors() -> None:
    reference = WIDE.copy()
    reference[:200] = 0
    check = AnswerCheck(OutputReading("vector"), reference)
    own = [(i, reference[i].tolist()) for i in range(150, 250)]
    assert check.judge(own) == ServedVerdict((), True, check.judge(own).sentence)
    for wrong in (WIDE[3] * 1e-3, WIDE[3]):
        found = check.judge([*own[10:], *((i, wrong.tolist()) for i in range(10))])
        assert len(found.wrong) == 10
        assert not found.is_same_model
    lost = [(i, np.zeros(64).tolist()) for i in range(200, 300)]
    assert len(check.judge(lost).wrong) == 100


def test_vectors_of_another_norm_are_wrong_despite_a_cosine_of_1() -> None:
    check = AnswerCheck(OutputReading("vector"), WIDE)
    served = [(i, (WIDE[i] * (1.5 if i % 5 == 0 else 1.0)).tolist()) for i in range(100)]
    found = check.judge(served)
    assert (len(found.wrong), found.is_same_model) == (20, False)


@pytest.mark.parametrize("answer", [None, "x", [1.0, 2.0], {"error": "no"}, float("nan"), []])
def test_unreadable_answer_is_never_within_the_allowance(answer: Any) -> None:
    reference = LOGITS[:, 0]
    served: list[tuple[int, Any]] = [(i, float(reference[i])) for i in range(100)]
    served[7] = (7, answer)
    found = AnswerCheck(OutputReading("score"), reference, accepted_flip_share=0.2).judge(served)
    assert (found.wrong, found.is_same_model) == ((7,), False)
    assert "cannot be read" in found.sentence


def test_empty_answers_are_rejected() -> None:
    assert not AnswerCheck(OutputReading("score"), LOGITS[:, 0]).judge([]).is_same_model


def test_only_the_read_field_of_a_dict_is_checked() -> None:
    reference = [{"label": int(value), "id": str(i)} for i, value in enumerate(LOGITS.argmax(axis=1))]
    check = AnswerCheck(OutputReading("classes", field="label"), reference)
    assert check.judge([(i, {**reference[i], "id": "other"}) for i in range(100)]).is_same_model
    assert not check.judge([(i, reference[i + 1]) for i in range(100)]).is_same_model
    assert not check.judge([(i, {"id": "x"}) for i in range(100)]).is_same_model


def test_raw_answers_are_compared_by_their_values() -> None:
    reference = [{"tag": "ab"[i % 2], "score": float(LOGITS[i, 0]), "more": [1, None]} for i in range(N)]
    check = AnswerCheck(OutputReading("raw"), reference)
    near = [(i, {**reference[i], "score": reference[i]["score"] + 1e-4}) for i in range(100)]
    assert check.judge(near).is_same_model
    assert not check.judge([(i, reference[i + 2]) for i in range(100)]).is_same_model
    assert not check.judge([(i, {**reference[i], "tag": "a"}) for i in range(100)]).is_same_model
    ragged = [list(map(float, range(1, 2 + i % 5))) for i in range(50)]
    check = AnswerCheck(OutputReading("raw"), ragged)
    assert check.judge([(i, ragged[i]) for i in range(50)]).is_same_model
    assert not check.judge([(i, [2 * x for x in ragged[i]]) for i in range(50)]).is_same_model


@pytest.mark.parametrize("odd", [True, "1", 1.0])
def test_class_of_another_type_is_compared_by_value(odd: Any) -> None:
    reference = np.arange(100) % 3
    check = AnswerCheck(OutputReading("classes", classes=(0, 1, 2)), reference)
    served: list[tuple[int, Any]] = [(i, int(reference[i])) for i in range(60)]
    served[4] = (4, odd)
    assert check.judge(served) == ServedVerdict((), True, check.judge(served).sentence)
    served[5] = (5, odd)
    assert check.judge(served).wrong == (5,)


def test_nan_equals_only_nan() -> None:
    reference = [{"score": float(LOGITS[i, 0])} for i in range(100)]
    check = AnswerCheck(OutputReading("raw"), reference)
    lost = [(i, {"score": float("nan")} if i % 4 == 0 else reference[i]) for i in range(60)]
    found = check.judge(lost)
    assert (len(found.wrong), found.is_same_model) == (15, False)
    partly = [{"score": float("nan") if i == 7 else float(LOGITS[i, 0])} for i in range(100)]
    check = AnswerCheck(OutputReading("raw"), partly)
    assert check.judge([(i, partly[i]) for i in range(60)]).wrong == ()
    assert not check.judge([(i, partly[i + 10]) for i in range(60)]).is_same_model


def test_repeated_sample_near_the_boundary_does_not_indicate_another_model() -> None:
    reference = np.zeros(100, dtype=np.int64)
    reference[0] = 1
    check = AnswerCheck(OutputReading("classes"), reference)
    assert check.judge([(i, 0) for i in range(60)]).is_same_model
    assert check.judge([*((i, 0) for i in range(60)), *[(0, 0)] * 20]).is_same_model
    reference[1:4] = 1
    assert not check.judge([(i, 0) for i in range(60)]).is_same_model


def test_far_too_large_number_is_wrong_and_the_sentence_is_short() -> None:
    reference = LOGITS[:, 0]
    served = [(i, 1e300 if i == 3 else float(reference[i])) for i in range(60)]
    found = AnswerCheck(OutputReading("score"), reference).judge(served)
    assert (found.wrong, found.is_same_model) == ((3,), False)
    assert len(found.sentence) < 200


TESTIMONY = [
    f"you were at {place} on the night of march {day} with the defendant"
    for day in range(1, 11)
    for place in ("home", "work")
]


def _with_one_other_word(text: str) -> str:
    return text.replace("defendant", "defended")


@pytest.mark.parametrize(
    ("kind", "wrap"),
    [
        ("text", np.array),
        ("raw", lambda texts: [{"text": text, "seconds": 1.5} for text in texts]),
    ],
)
def test_sentences_may_lose_a_word_by_rounding_but_not_most_of_them(kind, wrap):
    check = AnswerCheck(OutputReading(kind), wrap(TESTIMONY))
    changed = wrap([_with_one_other_word(text) for text in TESTIMONY])
    assert check.judge(list(enumerate(changed))).is_same_model
    garbled = wrap(["the the the the the the"] * len(TESTIMONY))
    verdict = check.judge(list(enumerate(garbled)))
    assert not verdict.is_same_model
    assert len(verdict.wrong) == len(TESTIMONY)


def test_label_of_two_words_is_not_a_sentence():
    labels = np.array(["not guilty", "guilty"] * 10)
    swapped = np.array(["guilty", "not guilty"] * 10)
    assert not AnswerCheck(OutputReading("text"), labels).judge(list(enumerate(swapped))).is_same_model
