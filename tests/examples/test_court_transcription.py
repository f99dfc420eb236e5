"""The court: words of people and of Whisper compared, silence cut, and texts through the server equal those without."""

from __future__ import annotations

import importlib
import json
import random
import re
import sys
import wave
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NoReturn

import httpx
import numpy as np
import pytest
from waiting import wait_until

from bento_monitor.lab.server.process import ServerProcess, start_server
from bento_monitor.lab.server.server_spec import ServerSpec
from bento_monitor.testing import OtlpReceiver

FOLDER = Path(__file__).parents[2] / "examples" / "court_transcription"
LIBRIVOX = Path("/usr/share/pocketsphinx/test/data/librivox")


@pytest.fixture(scope="module")
def court() -> Iterator[Callable[[str], ModuleType]]:
    """Return a function that imports a module of the example."""
    sys.path.insert(0, str(FOLDER))
    names = {path.stem for path in FOLDER.glob("*.py")}
    before = {name: sys.modules.pop(name) for name in names if name in sys.modules}
    yield importlib.import_module
    sys.path.remove(str(FOLDER))
    for name in names:
        sys.modules.pop(name, None)
    sys.modules.update(before)


@pytest.mark.parametrize(
    ("said", "heard", "errors"),
    [
        ("Exhibit 27 is admitted.", "exhibit twenty-seven is admitted", 0),
        ("You were paid 3500 dollars.", "You were paid $3,500.", 0),
        ("He owed 1200 dollars.", "He owed one thousand two hundred dollars.", 0),
        ("On March 21, Dr. Mbeki left.", "on March twenty first doctor Mbeki left", 0),
        ("The fifth of May", "the 5th of may", 0),
        ("Overruled, Your Honour.", "Overruled your honor", 0),
        ("nineteen eighty", "19 80", 0),
        ("It was raining.", "It was raining cats and dogs", 3),
    ],
)
def test_words_that_are_written_differently_are_not_errors(
    court: Callable[[str], ModuleType], said: str, heard: str, errors: int
) -> None:
    assert court("word_errors").utterance_errors([heard], [said])[0].tolist() == [errors]


def test_error_rate_counts_words_over_all_utterances(court: Callable[[str], ModuleType]) -> None:
    rate = court("word_errors").word_error_rate(["a b c", "x"], ["a b d", "x y z w"])
    assert rate == pytest.approx((1 + 3) / 7)


def test_script_is_the_same_each_time_and_varied(court: Callable[[str], ModuleType]) -> None:
    lines = court("dialogue").lines
    first, second = (list(lines(240, random.Random(0))) for _ in range(2))
    assert first == second
    assert {speaker for speaker, _ in first} == set(court("dialogue").SPEAKERS)
    assert len({text for _, text in first}) > 180
    words = [len(text.split()) for _, text in first]
    assert min(words) >= 4
    assert max(words) <= 25


def test_recording_that_is_not_one_is_refused(court: Callable[[str], ModuleType]) -> None:
    from bentoml.exceptions import InvalidArgument

    recording = court("recording")
    sound = np.arange(-400, 400, dtype=np.int16)
    np.testing.assert_allclose(recording.read_recording(recording.write_recording(sound)), sound / 32768)
    for wrong in ("no base64!", "aGVsbG8=", "", recording.write_recording(sound)[:40]):
        with pytest.raises(InvalidArgument):
            recording.read_recording(wrong)


@pytest.fixture(scope="module")
def models(court: Callable[[str], ModuleType], short_files: Callable[[str], Path]) -> Any:
    return court("model").Models(short_files("court_transcription"))


@pytest.fixture(scope="module")
def transcriber(court: Callable[[str], ModuleType], models: Any) -> Any:
    return court("transcribing").Transcriber(
        models.encoder, models.decoder, models.tokenizer, models.prompt, models.log_mel
    )


def read_wav(path: Path) -> np.ndarray:
    with wave.open(str(path)) as file:
        return np.frombuffer(file.readframes(file.getnframes()), np.int16).astype(np.float32) / 32768


def test_words_of_real_readers(
    court: Callable[[str], ModuleType], transcriber: Any, require_means: Callable[[str], NoReturn]
) -> None:
    if not LIBRIVOX.is_dir():
        require_means("there are no clips of LibriVox here: apt-get install pocketsphinx-testdata")
    said = {}
    for line in (LIBRIVOX / "transcription").read_text().splitlines():
        text, _, name = line.rpartition("(")
        said[name.strip(") ")] = re.sub(r"</?s>", " ", text)
    clips = sorted(LIBRIVOX.glob("*.wav"))
    heard = transcriber.transcribe([read_wav(clip) for clip in clips])
    errors, words = court("word_errors").utterance_errors(heard, [said[clip.stem] for clip in clips])
    assert words.sum() == 71
    assert errors.sum() <= 4


def test_voices_are_found_between_silences(court: Callable[[str], ModuleType], models: Any, short_files: Any) -> None:
    path = next((short_files("court_transcription") / "recordings").glob("*.wav"))
    recording = read_wav(path)[: 60 * 16_000]
    found = list(models.voices.utterances(recording))
    assert 6 <= len(found) <= 25
    starts = [utterance.start_s for utterance in found]
    assert starts == sorted(starts)
    assert all(0.3 < len(utterance.sound) / 16_000 <= 30 for utterance in found)
    assert list(models.voices.utterances(np.zeros(16_000 * 5, dtype=np.float32))) == []


@pytest.fixture(scope="module")
def telemetry(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[OtlpReceiver, Path]]:
    """Return the receiver of the server's spans, and the file of its log."""
    with OtlpReceiver() as receiver:
        yield receiver, tmp_path_factory.mktemp("court-log") / "server.log"


@pytest.fixture(scope="module")
def server(
    short_files: Callable[[str], Path],
    tmp_path_factory: pytest.TempPathFactory,
    telemetry: tuple[OtlpReceiver, Path],
) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("court")
    receiver, log = telemetry
    env = receiver.environment | {
        "EXAMPLE_FILES": str(short_files("court_transcription")),
        "BENTO_MONITOR_HOME": str(folder / "monitor"),
    }
    spec = ServerSpec(
        target="service:CourtTranscription",
        working_dir=FOLDER,
        as_="monitored",
        env=env,
        home=folder / "bentoml",
        log=log,
    )
    with start_server(spec) as running:
        yield running


def test_texts_through_the_server_equal_those_without(
    court: Callable[[str], ModuleType], transcriber: Any, server: ServerProcess, short_files: Callable[[str], Path]
) -> None:
    lines = (short_files("court_transcription") / "eval.jsonl").read_text().splitlines()[:4]
    encoded = [json.loads(line)["request"]["recordings"][0] for line in lines]
    answer = httpx.post(f"{server.base_url}/transcribe", json={"recordings": encoded}, timeout=120)
    assert answer.status_code == 200, answer.text
    assert answer.json() == transcriber.transcribe([court("recording").read_recording(each) for each in encoded])
    assert httpx.post(f"{server.base_url}/transcribe", json={"recordings": ["?"]}, timeout=60).status_code == 400


def test_hearing_is_streamed_by_utterance(server: ServerProcess, short_files: Callable[[str], Path]) -> None:
    import base64
    import io

    path = next((short_files("court_transcription") / "recordings").glob("*.wav"))
    file = io.BytesIO()
    with wave.open(str(path)) as source, wave.open(file, "wb") as target:
        target.setparams(source.getparams())
        target.writeframes(source.readframes(25 * 16_000))
    encoded = base64.b64encode(file.getvalue()).decode()
    url = f"{server.base_url}/stream"
    with httpx.stream("POST", url, json={"recording": encoded}, timeout=120) as response:
        assert response.status_code == 200
        assert response.headers["content-type"].startswith("text/event-stream")
        events = [json.loads(line.removeprefix("data: ")) for line in response.iter_lines() if line]
    assert len(events) >= 3
    assert [event["start_s"] for event in events] == sorted(event["start_s"] for event in events)
    assert all(event["text"] for event in events)


def threes_of(text: str) -> set[tuple[str, str, str]]:
    words = re.findall(r"[a-z']+", text.lower())
    return set(zip(words, words[1:], words[2:], strict=False))


def test_no_sound_and_no_word_is_in_spans_metrics_or_log(
    server: ServerProcess, telemetry: tuple[OtlpReceiver, Path], short_files: Callable[[str], Path]
) -> None:
    receiver, log = telemetry
    line = json.loads((short_files("court_transcription") / "eval.jsonl").read_text().splitlines()[0])
    (encoded,) = line["request"]["recordings"]
    trace_id = "ab" * 16
    answer = httpx.post(
        f"{server.base_url}/transcribe",
        json={"recordings": [encoded]},
        headers={"traceparent": f"00-{trace_id}-{'1' * 16}-01"},
        timeout=120,
    )
    (text,) = answer.json()
    wait_until(lambda: any(span.trace_id == trace_id for span in receiver.spans()), 30)
    everything = repr(receiver.spans()) + httpx.get(f"{server.base_url}/metrics").text + log.read_text()
    assert "CourtTranscription" in everything
    # Three words in a row: a single one, such as "raise", may be in a traceback of the log.
    said = threes_of(text) | threes_of(line["label"])
    assert len(said) >= 4
    assert said & threes_of(everything) == set()
    assert encoded[2000:2040] not in everything
