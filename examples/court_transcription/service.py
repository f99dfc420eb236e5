"""Transcribes what is said in court: utterances in, texts out; or a recording in, its texts as they come."""

from __future__ import annotations

import json
from collections.abc import Generator, Iterator
from typing import Annotated

import bentoml
from bento_monitor import MonitoredRunner, monitored
from bentoml.validators import ContentType

from model import Models
from recording import read_recording
from transcribing import Transcriber
from voice import Utterance

STREAMED_AT_ONCE = 4


@monitored
@bentoml.service(traffic={"timeout": 600})
class CourtTranscription:
    """Whisper, and a detector of voices in front of it."""

    def __init__(self) -> None:
        models = Models()
        self.voices = models.voices
        self.transcriber = Transcriber(
            encoder=MonitoredRunner(models.encoder, name="encoder"),
            decoder=MonitoredRunner(models.decoder, name="decoder"),
            tokenizer=models.tokenizer,
            prompt=models.prompt,
            log_mel=models.log_mel,
        )

    @bentoml.api(batchable=True, max_batch_size=16)
    def transcribe(self, recordings: list[str]) -> list[str]:
        """Return the text of each utterance of at most 30 s: WAV files of 16 kHz as base64."""
        return self.transcriber.transcribe([read_recording(each) for each in recordings])

    @bentoml.api
    def stream(self, recording: str) -> Annotated[Generator[str, None, None], ContentType("text/event-stream")]:
        """Yield the utterances of a recording of any length, each as an event with its start and text."""
        waiting = []
        for utterance in self.voices.utterances(read_recording(recording)):
            waiting.append(utterance)
            if len(waiting) == STREAMED_AT_ONCE:
                yield from self._events(waiting)
                waiting = []
        if waiting:
            yield from self._events(waiting)

    def _events(self, utterances: list[Utterance]) -> Iterator[str]:
        texts = self.transcriber.transcribe([each.sound for each in utterances])
        for utterance, text in zip(utterances, texts, strict=True):
            yield f"data: {json.dumps({'start_s': round(utterance.start_s, 2), 'text': text})}\n\n"
