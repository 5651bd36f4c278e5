"""A split's file of any size becomes rows of tokens, in bounded memory, and once only.

A chunk of lines is tokenised on all cores by the tokenizer's own threads while the rows of the one
before are built. What comes out lies beside the data, in a folder named after everything that it
depends on, and is read from there the next time.
"""

import atexit
import hashlib
import itertools
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypedDict

from bakeoff.worker.encoding import Encoder, Tokens
from bakeoff.worker.row_table import TableWriter, open_table
from bakeoff.worker.rows import Rows, beginning_tokens, end_token, read_rows
from bakeoff.worker.tokenizing import build, texts_of, tokenize


class _Segment(TypedDict):
    text: str
    loss: bool


class _NeededOfRow(TypedDict):
    """The rest of a line, which holds its texts three times over, is not made into objects."""

    id: str
    segments: list[_Segment]


FOLDER = "tokens"
"""Beside the data."""

_CHUNK_LINES = 256
"""Enough for every core; the tokens of larger chunks fall out of the caches, and take memory."""
_VERSION = 1
"""Raised when the same text would become other rows."""


def prepare_rows(path: Path, tokenizer: Any, **settings: Any) -> Rows:
    """The rows of a JSONL file; none when the file is missing.

    Args:
        path: of the file.
        tokenizer: the model's own.
        settings: those of :func:`bakeoff.worker.tokenizing.tokenize`.

    Raises:
        JobError: as there.
    """
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None or not path.exists():
        return tokenize(read_rows(path), tokenizer, **settings)
    fixed = {"edges": (beginning_tokens(tokenizer), end_token(tokenizer)), **settings}
    name = f"{path.stem}-{_digest(path, backend, fixed)}"
    folder = path.parent / FOLDER / name
    if not folder.exists():
        folder = _write(path, tokenizer, fixed, folder)
    table, facts = open_table(folder)
    return Rows(table, facts["num_dropped"], facts["num_truncated"], facts)


def _digest(path: Path, backend: Any, settings: dict[str, Any]) -> str:
    """Of the file's contents, of the tokenizer, and of what else the rows depend on."""
    with path.open("rb") as file:
        sha = hashlib.file_digest(file, "sha256")
    sha.update(backend.to_str().encode("utf-8"))
    sha.update(json.dumps([_VERSION, settings], sort_keys=True).encode("utf-8"))
    return sha.hexdigest()[:24]


def _write(path: Path, tokenizer: Any, fixed: dict[str, Any], folder: Path) -> Path:
    """Write the table, and give its place: a temporary one where the data cannot be written to."""
    unfinished = _make_folder_beside(folder)
    try:
        with TableWriter(unfinished) as writer:
            num_dropped = num_truncated = 0
            for raw_rows, tokens in _encoded_chunks(path, tokenizer):
                part = build(raw_rows, tokens, **fixed)
                writer.append(part.table)
                num_dropped += part.num_dropped
                num_truncated += part.num_truncated
            writer.finish(num_dropped=num_dropped, num_truncated=num_truncated)
        if unfinished.parent != folder.parent:
            return unfinished
        try:
            unfinished.rename(folder)
        except OSError:  # another process was faster
            if not folder.exists():
                raise
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    shutil.rmtree(unfinished, ignore_errors=True)
    return folder


def _make_folder_beside(folder: Path) -> Path:
    try:
        folder.parent.mkdir(exist_ok=True)
        made = Path(tempfile.mkdtemp(dir=folder.parent, prefix="."))
        made.chmod(0o755)  # whoever may read the data may read its tokens
    except OSError:
        made = Path(tempfile.mkdtemp())
        atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _decoder() -> Callable[[bytes], Any]:
    """msgspec's, which is four times as fast; the frameworks' environments lack it."""
    try:
        import msgspec
    except ImportError:
        return json.loads
    return msgspec.json.Decoder(_NeededOfRow).decode


def _encoded_chunks(path: Path, tokenizer: Any) -> Iterator[tuple[list[dict[str, Any]], Tokens]]:
    """Chunks of rows and their tokens, each made while the one before is worked on."""
    encode, decode = Encoder(tokenizer), _decoder()
    with path.open("rb") as file, ThreadPoolExecutor(1) as pool:

        def make() -> tuple[list[dict[str, Any]], Tokens]:
            raw_rows = [decode(line) for line in itertools.islice(file, _CHUNK_LINES)]
            return raw_rows, encode(texts_of(raw_rows))

        coming = pool.submit(make)
        while True:
            chunk = coming.result()
            if not chunk[0]:
                return
            coming = pool.submit(make)
            yield chunk
