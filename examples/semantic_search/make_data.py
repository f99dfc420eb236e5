"""Write eval.npz: the sentences, and as their labels the topics that they are from."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np

from sentences import load_sentences


def main() -> None:
    """Write the file that the first argument names, or `eval.npz` here."""
    path = Path(sys.argv[1]) if len(sys.argv) > 1 else Path("eval.npz")
    sentences, topics = load_sentences()
    np.savez_compressed(path, sentences=np.array(sentences), labels=np.array(topics))
    print(f"{path}: {len(sentences)} sentences of {len(set(topics))} topics")


if __name__ == "__main__":
    main()
