"""Building the files that a backend runs: exported, quantized, checked, and cached by a hash of their inputs."""
