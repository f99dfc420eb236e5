"""Speech of a text: eSpeak NG in several voices, in a room with an echo, with noise."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
import wave
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy import signal

from sound import SAMPLE_RATE_HZ

COMMAND = "espeak-ng"


@dataclass(frozen=True, slots=True)
class Voice:
    """A voice of eSpeak NG, its words a minute and its pitch, and the room it is heard in."""

    name: str
    words_per_minute: int
    pitch: int
    echo_s: float
    noise_db: float


# One for each speaker; `noise_db` is the noise below the speech.
VOICES = {
    "clerk": Voice("en-us+f3", 150, 55, 0.25, 32),
    "judge": Voice("en-gb+m1", 145, 48, 0.25, 32),
    "prosecutor": Voice("en-us+m7", 160, 45, 0.30, 28),
    "defence": Voice("en-gb+f4", 155, 60, 0.30, 28),
    "witness": Voice("en-us-nyc+m1", 150, 50, 0.30, 30),
    "expert": Voice("en-gb-scotland+m5", 140, 45, 0.25, 32),
}


def speak(text: str, voice: Voice, generator: np.random.Generator) -> NDArray[np.int16]:
    """Return the sound of a text, `(samples,)` of 16 kHz."""
    if shutil.which(COMMAND) is None:
        sys.exit(f"{COMMAND}, which speaks the words of the court, is missing: apt-get install espeak-ng")
    options = ["-v", voice.name, "-s", str(voice.words_per_minute), "-p", str(voice.pitch), "--stdout"]
    done = subprocess.run([COMMAND, *options, text], capture_output=True, check=True)
    with wave.open(io.BytesIO(done.stdout)) as file:
        rate_hz = file.getframerate()
        # The length in the header of a stream is not known.
        spoken = np.frombuffer(file.readframes(len(done.stdout)), np.int16).astype(np.float64) / 32768
    divisor = int(np.gcd(rate_hz, SAMPLE_RATE_HZ))
    spoken = signal.resample_poly(spoken, SAMPLE_RATE_HZ // divisor, rate_hz // divisor)
    heard = in_room(spoken, voice, generator)
    return (np.clip(0.5 * heard / np.abs(heard).max(), -1, 1) * 32767).astype(np.int16)


def in_room(spoken: NDArray[np.float64], voice: Voice, generator: np.random.Generator) -> NDArray[np.float64]:
    """Return speech with the echo of a room, which fades by 60 dB in `echo_s`, and with noise."""
    seconds = np.arange(int(voice.echo_s * SAMPLE_RATE_HZ)) / SAMPLE_RATE_HZ
    echo = generator.standard_normal(len(seconds)) * 10 ** (-3 * seconds / voice.echo_s)
    echo[: int(0.003 * SAMPLE_RATE_HZ)] = 0
    echo *= 0.3 / np.linalg.norm(echo)
    echo[0] = 1.0
    quiet = np.zeros(int(0.25 * SAMPLE_RATE_HZ))
    heard = signal.fftconvolve(np.concatenate([quiet, spoken, quiet]), echo)
    # Noise of fans and lamps: louder at low frequencies.
    noise = signal.lfilter([1.0], [1.0, -0.95], generator.standard_normal(len(heard)))
    loudness = np.sqrt((spoken**2).mean() / (noise**2).mean()) * 10 ** (-voice.noise_db / 20)
    return heard + loudness * noise
