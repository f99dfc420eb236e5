"""Sound as Whisper hears it: log-mel spectra of utterances, padded with silence to 30 s as in its training."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from transformers.audio_utils import mel_filter_bank

SAMPLE_RATE_HZ = 16_000
WINDOW_SAMPLES, HOP_SAMPLES = 400, 160
# With less padding the encoder is faster, and errs more: 5 instead of 3 of the 71 words of the LibriVox clips at 15 s.
LENGTH_S = 30


class LogMel:
    """Log-mel spectra, scaled as in Whisper's training."""

    def __init__(self, mels: int) -> None:
        filters = mel_filter_bank(
            num_frequency_bins=1 + WINDOW_SAMPLES // 2,
            num_mel_filters=mels,
            min_frequency=0.0,
            max_frequency=SAMPLE_RATE_HZ / 2,
            sampling_rate=SAMPLE_RATE_HZ,
            norm="slaney",
            mel_scale="slaney",
        )
        self._filters = torch.from_numpy(filters.T.astype(np.float32))
        self._window = torch.hann_window(WINDOW_SAMPLES)

    def __call__(self, sounds: Sequence[NDArray[np.float32]]) -> torch.Tensor:
        """Return spectra `(n, mels, 3000)` of sounds of 16 kHz, from -1 to 1; what is beyond 30 s is cut."""
        length = LENGTH_S * SAMPLE_RATE_HZ
        padded = torch.zeros(len(sounds), length)
        for row, sound in enumerate(sounds):
            padded[row, : min(len(sound), length)] = torch.from_numpy(sound[:length])
        spectrum = torch.stft(padded, WINDOW_SAMPLES, HOP_SAMPLES, window=self._window, return_complex=True)
        mel = self._filters @ spectrum[..., :-1].abs() ** 2
        log_mel = mel.clamp_min(1e-10).log10()
        loudest = log_mel.amax(dim=(1, 2), keepdim=True)
        return (torch.maximum(log_mel, loudest - 8.0) + 4.0) / 4.0
