"""The command line: parse, call, print.

Each command imports its stage when it is called, so that ``bakeoff --help`` answers in a blink.
"""

from bakeoff.cli.app import main

__all__ = ["main"]
