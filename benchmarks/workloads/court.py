"""The streamed transcription of hearings: how long it takes against their length, and until the first words come."""

from __future__ import annotations

import base64
import io
import tempfile
import time
import wave
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np
from result import Figure
from workloads.releases import Released
from workloads.served import OURS, served

HEARINGS = 8
LENGTH_S = 60.0
TIMEOUT_S = 600.0


@dataclass(frozen=True, slots=True)
class Streamed:
    """Of each hearing: its length, the time until its first event, and until its last."""

    length_s: list[float]
    first_word_s: list[float]
    total_s: list[float]

    def figures(self) -> dict[str, Figure]:
        """Return the real-time factor of all hearings, and the time until the first words."""
        return {
            "real_time_factor": Figure(sum(self.total_s) / sum(self.length_s), "ratio"),
            "first_word_s_p95": Figure(float(np.percentile(self.first_word_s, 95, method="inverted_cdf")), "s"),
        }


def measure_stream(found: Released) -> Streamed:
    """Stream the first minute of some hearings, one after another, from our server with its release."""
    recordings = sorted((found.files / "recordings").glob("*.wav"))[:HEARINGS]
    streamed = Streamed([], [], [])
    with tempfile.TemporaryDirectory(prefix="bench-workloads-") as folder, served(found, OURS, Path(folder)) as port:
        for recording in recordings:
            encoded, length_s = first_part(recording)
            first_s, total_s = _stream(port, encoded)
            streamed.length_s.append(length_s)
            streamed.first_word_s.append(first_s)
            streamed.total_s.append(total_s)
            print(
                f"{recording.name}: first words after {first_s:.2f} s, {length_s / total_s:.1f} times as fast",
                flush=True,
            )
    return streamed


def first_part(path: Path) -> tuple[str, float]:
    """Return the first minute of a recording as a request has it, and its length in seconds."""
    with wave.open(str(path)) as file:
        frames = min(file.getnframes(), int(LENGTH_S * file.getframerate()))
        form, part = file.getparams(), file.readframes(frames)
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setparams(form)
        file.writeframes(part)
    return base64.b64encode(target.getvalue()).decode(), frames / form.framerate


def _stream(port: int, encoded: str) -> tuple[float, float]:
    started_s = time.monotonic()
    first_s = None
    url = f"http://127.0.0.1:{port}/stream"
    with httpx.stream("POST", url, json={"recording": encoded}, timeout=TIMEOUT_S) as response:
        response.raise_for_status()
        for line in response.iter_lines():
            if line.startswith("data: ") and first_s is None:
                first_s = time.monotonic() - started_s
    if first_s is None:
        raise RuntimeError("A hearing was streamed without a word.")
    return first_s, time.monotonic() - started_s
