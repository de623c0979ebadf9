"""Files that say which items are relevant to which query, or are left out of its ranking."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from hashkernels.data.formats import open_npz, read_npy, unreadable
from hashkernels.metrics import qrels_relevance

_CSR = ("indices", "indptr")


def read_ids(path: str | os.PathLike[str]) -> list[str]:
    """Names, one a line, in the order of the codes."""
    with unreadable(path):
        return Path(path).read_text(encoding="utf-8").split()


def read_judgments(
    path: str | os.PathLike[str], query_ids: list[str] | None = None, database_ids: list[str] | None = None
) -> Any:
    """Pairs of queries and items in a form that ``relevance=`` and ``exclude=`` of ``hashkernels.evaluate`` take.

    Args:
        path: a text file of TREC judgments, a line ``query iteration item gain`` each; or an .npz of CSR arrays, as
            ``scipy.sparse.save_npz`` writes it (data, indices, indptr) or without data; or an .npy of an array.
        query_ids, database_ids: the names in a text file, in the order of the codes; judgments of others are left out,
            as ``qrels_relevance`` does. None: the file gives positions.

    Returns:
        A dict of the position of a query to a dict of positions to gains, a CSR tuple, or an array.

    Raises:
        ValueError: a file that is damaged or of another form; it names the file, and the line of a text.
        OSError: the file cannot be opened.

    Example:
        >>> import tempfile
        >>> from pathlib import Path
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = Path(folder) / "qrels.txt"
        ...     _ = path.write_text("q7 0 a 2\\nq7 0 c 1\\n")
        ...     read_judgments(path, ["q3", "q7"], ["a", "b", "c"])
        {1: {0: 2.0, 2: 1.0}}
    """
    if Path(path).suffix == ".npy":
        return read_npy(path)
    if Path(path).suffix == ".npz":
        return _read_csr(path)
    with unreadable(path):
        qrels = _parse(Path(path).read_text(encoding="utf-8"))
        if query_ids is not None and database_ids is not None:
            return qrels_relevance(qrels, query_ids, database_ids)
        return {_position(q): {_position(i): gain for i, gain in judged.items()} for q, judged in qrels.items()}


def _parse(text: str) -> dict[str, dict[str, float]]:
    qrels: dict[str, dict[str, float]] = {}
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields:
            continue
        try:
            query, _, item, gain = fields
            judged = qrels.setdefault(query, {})
            if item in judged:
                raise ValueError(f"line {number}: item {item} comes twice for query {query}")
            judged[item] = float(gain)
        except ValueError as error:
            if str(error).startswith("line"):
                raise
            raise ValueError(f'line {number} must be "query iteration item gain", got {line[:60]!r}') from None
    return qrels


def _position(name: str) -> int:
    if not name.isdecimal():
        raise ValueError(f"{name!r} is not a position: give the ids of the queries and of the database")
    return int(name)


def _read_csr(path: str | os.PathLike[str]) -> tuple[Any, ...]:
    with unreadable(path), open_npz(path) as archive:
        missing = [name for name in _CSR if name not in archive.files]
        form = archive["format"].item() if "format" in archive.files else b"csr"
        if missing or form not in (b"csr", "csr"):
            raise ValueError(f"expected CSR arrays {', '.join(_CSR)} and perhaps data, got {', '.join(archive.files)}")
        return tuple(archive[name] for name in ("data", *_CSR) if name in archive.files)
