"""Keeps each answer as soon as it is there, so that a killed evaluation goes on after the last one.

One line an answer in ``answers.jsonl``: a line is whole or, being the last one of a killed process,
torn and left out. The first line says what the answers depend on besides their requests; a journal
that began otherwise (another version of the libraries) is begun anew.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

JOURNAL_FILE = "answers.jsonl"


class Journal:
    """Answers by the digest of task, item, prompt and settings."""

    def __init__(
        self, path: Path, terms: Mapping[str, Any], *, others: Iterable[Path] = ()
    ) -> None:
        """Open ``path``, or begin it anew where it began with other ``terms``.

        Args:
            path: of the journal.
            terms: what the answers depend on besides their requests.
            others: journals whose answers on the same terms it takes over.
        """
        first = json.dumps({"terms": digest(terms)})
        found = [_whole_lines(place) for place in (path, *others)]
        whole = [first, *(line for lines in found if lines[:1] == [first] for line in lines[1:])]
        entries = map(json.loads, whole[1:])
        self._entries: dict[str, Any] = {entry["key"]: entry["answer"] for entry in entries}
        # Written anew without what may be torn behind the last line end.
        path.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8", newline="\n")
        self._file = path.open("a", encoding="utf-8", newline="\n")

    def find(self, key: str) -> Any | None:
        """The answer that an earlier process kept; None: there is none."""
        return self._entries.get(key)

    def add(self, key: str, answer: Any) -> None:
        """Out of this process at once: what is killed later loses nothing."""
        line = json.dumps({"key": key, "answer": answer}, ensure_ascii=False)
        self._file.write(f"{line}\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def request_keys(requests: Sequence[Any]) -> list[str]:
    """Of each request of the harness; equal ones are told apart by their order."""
    seen: Counter[str] = Counter()
    keys = []
    for request in requests:
        key = digest([request.task_name, request.doc_id, request.args])
        keys.append(f"{key}-{seen[key]}")
        seen[key] += 1
    return keys


def digest(value: Any) -> str:
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _whole_lines(path: Path) -> list[str]:
    if not path.is_file():
        return []
    return path.read_text(encoding="utf-8", errors="replace").split("\n")[:-1]
