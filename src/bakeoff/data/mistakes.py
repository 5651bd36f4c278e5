"""Mistakes in a dataset by kind, so that a check can count those that are alike.

UserError
  NotJsonError         a row is not JSON
  EncodingError        text is not UTF-8
  MissingColumnError   a column is not there
  WrongTypeError       something stands there, but of another type
  EmptyTextError       a text is blank
  RoleOrderError       questions and answers do not take turns
  UnknownRoleError     somebody speaks whom nobody introduced

Whoever only wants to stop at the first mistake catches the UserError.
"""

from bakeoff.base.errors import UserError


class NotJsonError(UserError):
    """A row is not JSON."""


class EncodingError(UserError):
    """Text is not UTF-8."""


class MissingColumnError(UserError):
    """A column is not there."""


class WrongTypeError(UserError):
    """Something stands there, but of another type."""


class EmptyTextError(UserError):
    """A text is blank."""


class RoleOrderError(UserError):
    """Questions and answers do not take turns."""


class UnknownRoleError(UserError):
    """Somebody speaks whom nobody introduced."""
