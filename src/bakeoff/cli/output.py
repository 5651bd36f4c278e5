"""What goes where: results to standard output, progress and notes to standard error."""

import json
import sys
from typing import Any

from rich.console import Console


def print_json(value: Any) -> None:
    """One JSON document, UTF-8 whatever the console speaks, and nothing else."""
    text = json.dumps(value, ensure_ascii=False, indent=2, allow_nan=False)
    sys.stdout.buffer.write(text.encode("utf-8") + b"\n")
    sys.stdout.buffer.flush()


def out() -> Console:
    """For results: full width when piped, so that no row is cut."""
    console = Console(highlight=False)
    return console if console.is_terminal else Console(highlight=False, width=160)


def err() -> Console:
    """For progress and notes."""
    return Console(stderr=True, highlight=False)
