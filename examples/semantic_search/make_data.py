"""Write eval.npz: sentences, with their topics as labels."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sentences import load_sentences


def main() -> None:
    """Write to the path in the first argument, or to `eval.npz` in the current folder."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("eval.npz")
    sentences, topics = load_sentences()
    np.savez_compressed(path, sentences=np.array(sentences), labels=np.array(topics))
    print(f"{path}: {len(sentences)} sentences of {len(set(topics))} topics")


if __name__ == "__main__":
    main()
