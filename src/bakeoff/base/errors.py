"""The exception hierarchy and the one user-facing error type.

* BakeoffError
  - UserError            wrong recipe, missing package: shown without a traceback, exit code 2
  - RunError             a child process failed: recorded as the run's outcome, the sweep goes on
"""


class BakeoffError(Exception):
    """Base of every error raised on purpose."""


class UserError(BakeoffError):
    """Something the person at the keyboard can fix; ``hint`` says how."""

    def __init__(self, message: str, *, hint: str | None = None) -> None:
        super().__init__(message)
        self.hint = hint


class RunError(BakeoffError):
    """A child process did not finish; carries the end of its log."""

    def __init__(self, message: str, *, log_tail: str) -> None:
        super().__init__(message)
        self.log_tail = log_tail
