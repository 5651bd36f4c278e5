"""Interpreters of the backends' real environments."""

import os
import sys
from pathlib import Path

import pytest

from bakeoff.backends import BACKENDS
from bakeoff.base.errors import UserError
from bakeoff.cli.places import default_cache_dir
from bakeoff.envs.resolve import resolve


def needs_environment(name: str) -> bool:
    return BACKENDS.get(name)().environment is not None


def backend_names() -> list:
    """Parameters of a test that trains: those with an environment of their own are slow."""
    return [
        pytest.param(name, marks=[pytest.mark.slow, pytest.mark.backend(name)])
        if needs_environment(name)
        else name
        for name in BACKENDS.names()
    ]


def interpreter(name: str) -> Path:
    """Named by ``BAKEOFF_PYTHON_<NAME>``, or installed by `bakeoff env install`; else skip."""
    if not needs_environment(name):
        return Path(sys.executable)
    named = os.environ.get(f"BAKEOFF_PYTHON_{name.upper()}")
    if named:
        return Path(named)
    try:
        found = resolve(name, None, cache_dir=cache_dir(), base_dir=Path.cwd())
    except UserError as error:
        pytest.skip(f"no environment for {name}: {error}")
    return found.python


def cache_dir() -> Path:
    """Where those that `bakeoff env install` made are."""
    return Path(os.environ.get("BAKEOFF_CACHE_DIR") or default_cache_dir())
