"""Write eval.npz: sentences, with their topics as labels."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from sentences import load_sentences

SHORT_SENTENCES = 300


def main() -> None:
    """Write `eval.npz` into the folder given as argument, by default `files` beside this script."""
    parser = argparse.ArgumentParser(description="Write eval.npz: sentences, with their topics as labels.")
    parser.add_argument("folder", nargs="?", type=Path, default=Path(__file__).with_name("files"))
    parser.add_argument("--short", action="store_true", help=f"Only {SHORT_SENTENCES} sentences.")
    arguments = parser.parse_args()
    sentences, topics = load_sentences()
    count = SHORT_SENTENCES if arguments.short else len(sentences)
    path = arguments.folder / "eval.npz"
    path.parent.mkdir(parents=True, exist_ok=True)
    np.savez_compressed(path, sentences=np.array(sentences[:count]), labels=np.array(topics[:count]))
    print(f"{path}: {count} sentences of {len(set(topics[:count]))} topics")


if __name__ == "__main__":
    main()
