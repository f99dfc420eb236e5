"""Dynamic int8 quantization, in a separate process so that its memory and time are bounded."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Literal

from ..errors import ArtifactError

Granularity = Literal["per-channel", "per-tensor"]
_MEMORY_LIMIT_BYTES = 16 * 2**30
_TIMEOUT_S = 600.0


def quantize(
    source: Path,
    target: Path,
    granularity: Granularity,
    *,
    reduces_range: bool = False,
    memory_limit_bytes: int = _MEMORY_LIMIT_BYTES,
    timeout_s: float = _TIMEOUT_S,
) -> None:
    """Write `target`, the graph of `source` with int8 weights; activations are quantized at run time.

    Raises:
        ArtifactError: the quantization failed, or exceeded its memory or time limit.
    """
    settings = {
        "source": str(source.resolve()),
        "target": str(target.resolve()),
        "per_channel": granularity == "per-channel",
        "reduces_range": reduces_range,
        "memory_limit_bytes": memory_limit_bytes,
    }
    with tempfile.TemporaryDirectory(prefix="bento-monitor-quantize-") as folder:
        command = [sys.executable, "-P", "-m", "optimizers.artifacts.quantize", json.dumps(settings)]
        try:
            done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=timeout_s, check=False)
        except subprocess.TimeoutExpired:
            raise ArtifactError(f"Quantization {granularity} took longer than {timeout_s:.0f} s.") from None
    if done.returncode != 0:
        reason = (done.stderr.strip().splitlines() or ["no error output"])[-1]
        raise ArtifactError(f"Quantization {granularity} failed (exit code {done.returncode}): {reason}")


def main() -> None:
    """Quantize with the settings in the first argument, as JSON."""
    import resource

    settings = json.loads(sys.argv[1])
    limit = settings["memory_limit_bytes"]
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        settings["source"],
        settings["target"],
        per_channel=settings["per_channel"],
        reduce_range=settings["reduces_range"],
        weight_type=QuantType.QInt8,
    )


if __name__ == "__main__":
    main()
