"""The models of the court: Whisper's encoder and decoder, and the detector of voices."""

from __future__ import annotations

import os
from pathlib import Path

import torch
from tokenizers import Tokenizer

from sound import LogMel
from transcribing import Prompt, prompt_of
from voice import VoiceDetector
from whisper import Sizes, load_whisper

FILES = Path(os.environ.get("EXAMPLE_FILES") or Path(__file__).with_name("files"))
WHISPER, TOKENIZER, VOICE = "model.bin", "tokenizer.json", "silero.onnx"


class Models:
    """Encoder, decoder, and what surrounds them."""

    encoder: torch.nn.Module
    decoder: torch.nn.Module
    sizes: Sizes
    tokenizer: Tokenizer
    prompt: Prompt
    log_mel: LogMel
    voices: VoiceDetector

    def __init__(self, files: Path = FILES) -> None:
        """Load everything from a folder.

        Raises:
            FileNotFoundError: a file is missing; the message says which command makes it.
        """
        for name in (WHISPER, TOKENIZER, VOICE):
            if not (files / name).is_file():
                raise FileNotFoundError(f"{files / name} is missing: run `python make_data.py` first.")
        self.encoder, self.decoder, self.sizes = load_whisper(files / WHISPER)
        self.tokenizer = Tokenizer.from_file(str(files / TOKENIZER))
        self.prompt = prompt_of(self.tokenizer, self.sizes.vocabulary)
        self.log_mel = LogMel(self.sizes.mels)
        self.voices = VoiceDetector(files / VOICE)
