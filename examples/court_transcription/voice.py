"""Where in a recording somebody speaks: utterances between silences, found by Silero's voice activity detection."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from sound import LENGTH_S, SAMPLE_RATE_HZ

# The detector takes 32 ms at once, with the 4 ms before them, and the state that it returned last.
STEP_SAMPLES, CONTEXT_SAMPLES = 512, 64
BEGINS_ABOVE, ENDS_BELOW = 0.5, 0.35
SILENCE_S, SPARE_S = 0.5, 0.15


@dataclass(frozen=True, slots=True)
class Utterance:
    """A part of a recording, and where in it the part begins."""

    start_s: float
    sound: NDArray[np.float32]


class VoiceDetector:
    """Cuts recordings into utterances."""

    def __init__(self, model: Path) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self._session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])

    def utterances(self, recording: NDArray[np.float32]) -> Iterator[Utterance]:
        """Yield the utterances of a recording of 16 kHz, from -1 to 1, as soon as each has ended."""
        spare, silence = int(SPARE_S * SAMPLE_RATE_HZ), int(SILENCE_S * SAMPLE_RATE_HZ)
        longest = LENGTH_S * SAMPLE_RATE_HZ - 2 * spare
        begun: int | None = None
        last_voice = 0
        for place, probability in self._probabilities(recording):
            end = place + STEP_SAMPLES
            if begun is None:
                if probability >= BEGINS_ABOVE:
                    begun, last_voice = place, end
                continue
            if probability >= ENDS_BELOW:
                last_voice = end
            if end - last_voice >= silence or end - begun >= longest:
                yield _cut(recording, begun - spare, last_voice + spare)
                begun = None
        if begun is not None:
            yield _cut(recording, begun - spare, last_voice + spare)

    def _probabilities(self, recording: NDArray[np.float32]) -> Iterator[tuple[int, float]]:
        state = np.zeros((2, 1, 128), dtype=np.float32)
        rate = np.array(SAMPLE_RATE_HZ, dtype=np.int64)
        padded = np.pad(recording, (CONTEXT_SAMPLES, -len(recording) % STEP_SAMPLES))
        for place in range(0, len(padded) - CONTEXT_SAMPLES, STEP_SAMPLES):
            step = padded[None, place : place + CONTEXT_SAMPLES + STEP_SAMPLES]
            probability, state = self._session.run(None, {"input": step, "state": state, "sr": rate})
            yield place, float(probability[0, 0])


def _cut(recording: NDArray[np.float32], start: int, end: int) -> Utterance:
    start = max(start, 0)
    return Utterance(start / SAMPLE_RATE_HZ, recording[start:end])
