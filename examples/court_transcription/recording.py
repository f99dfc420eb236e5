"""Recordings as they come in requests: WAV files of 16 kHz, 16 bits and one channel, as base64."""

from __future__ import annotations

import base64
import binascii
import io
import wave

import numpy as np
from bentoml.exceptions import InvalidArgument
from numpy.typing import NDArray

from sound import SAMPLE_RATE_HZ


def read_recording(encoded: str) -> NDArray[np.float32]:
    """Return the sound of a recording, from -1 to 1.

    Raises:
        InvalidArgument: it is not such a file; the server answers with 400.
    """
    try:
        with wave.open(io.BytesIO(base64.b64decode(encoded, validate=True))) as file:
            form = (file.getframerate(), file.getsampwidth(), file.getnchannels())
            frames = file.readframes(file.getnframes())
    except (binascii.Error, wave.Error, EOFError) as error:
        raise InvalidArgument("A recording is not a WAV file as base64.") from error
    if form != (SAMPLE_RATE_HZ, 2, 1) or not frames:
        raise InvalidArgument(f"A recording must have 16000 Hz, 16 bits and one channel, but has {form}.")
    return np.frombuffer(frames, np.int16).astype(np.float32) / np.float32(32768)


def write_recording(sound: NDArray[np.int16]) -> str:
    """Return a sound of 16 kHz as a request has it."""
    file = io.BytesIO()
    with wave.open(file, "wb") as target:
        target.setnchannels(1)
        target.setsampwidth(2)
        target.setframerate(SAMPLE_RATE_HZ)
        target.writeframes(sound.tobytes())
    return base64.b64encode(file.getvalue()).decode()
