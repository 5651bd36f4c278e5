"""What is wrong with a recipe, in words: key, what was expected, what came, what to do."""

import difflib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, get_args

from pydantic import ValidationError

from bakeoff.base.errors import BakeoffError
from bakeoff.schema.document import Document
from bakeoff.schema.plan import Problem


class InvalidRecipe(BakeoffError):  # noqa: N818 - it is raised as a finding, read as one
    """The recipe cannot be run; ``problems`` holds all that was found."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.key}: {problem.message}" for problem in problems))
        self.problems = tuple(problems)


def problems_of_validation(
    error: ValidationError, model: type[Document], chosen: Mapping[tuple[str, ...], Any]
) -> list[Problem]:
    """One problem a key.

    Args:
        error: What pydantic found.
        model: The document that was validated.
        chosen: The values of the matrix axes, named in the message so that a person knows which
            entry of a list is meant.
    """
    found: dict[str, Problem] = {}
    for detail in error.errors(include_url=False):
        location = _key_of(detail["loc"], model)
        key = ".".join(location)
        problem = _problem(key, location, detail, model)
        if location in chosen:
            problem = problem.model_copy(
                update={"message": f"{problem.message} (an entry of the list)"}
            )
        found.setdefault(key, problem)
    return list(found.values())


def _key_of(location: tuple[int | str, ...], model: type[Document]) -> tuple[str, ...]:
    """Without the branch names that pydantic adds for unions."""
    key: list[str] = []
    here: type[Document] | None = model
    for part in location:
        if here is None and not isinstance(part, int):
            break
        key.append(str(part))
        field = here.model_fields.get(str(part)) if here is not None else None
        here = document_in(field.annotation) if field is not None else None
    return tuple(key)


def document_in(annotation: Any) -> type[Document] | None:
    """The document that a field holds, if it holds one."""
    for option in (annotation, *get_args(annotation)):
        if isinstance(option, type) and issubclass(option, Document):
            return option
    return None


def _problem(key: str, location: Sequence[str], detail: Any, model: type[Document]) -> Problem:
    if detail["type"] == "extra_forbidden":
        return _unknown_key(key, location, model)
    if detail["type"] == "missing":
        return Problem(key=key, message="is required but missing", hint=f"add `{key}: ...`")
    expected = _EXPECTATIONS.get(detail["type"])
    context = detail.get("ctx", {})
    words = expected(context) if expected else _as_sentence(detail["msg"])
    return Problem(key=key, message=f"expected {words}; got {_shown(detail['input'])}")


def _unknown_key(key: str, location: Sequence[str], model: type[Document]) -> Problem:
    parent: type[Document] | None = model
    for name in location[:-1]:
        field = parent.model_fields.get(name) if parent is not None else None
        parent = document_in(field.annotation) if field is not None else None
    known = sorted(parent.model_fields) if parent is not None else []
    close = difflib.get_close_matches(location[-1], known, n=1)
    elsewhere = [
        f"{name}.{location[-1]}"
        for name, field in model.model_fields.items()
        if (part := document_in(field.annotation)) is not None and location[-1] in part.model_fields
    ]
    if elsewhere:
        hint = f"did you mean `{elsewhere[0]}`?"
    elif close:
        hint = f"did you mean `{close[0]}`?"
    else:
        hint = f"known here: {', '.join(known)}"
    return Problem(key=key, message="unknown key", hint=hint)


def _as_sentence(message: str) -> str:
    text = message.removeprefix("Value error, ").removeprefix("Input should be ")
    return text[:1].lower() + text[1:]


def _shown(value: Any) -> str:
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return str(value).lower()
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def _whole(_: Mapping[str, Any]) -> str:
    return "a whole number"


def _number(_: Mapping[str, Any]) -> str:
    return "a number"


def _text(_: Mapping[str, Any]) -> str:
    return "text"


_EXPECTATIONS: dict[str, Callable[[Mapping[str, Any]], str]] = {
    "int_type": _whole,
    "int_parsing": _whole,
    "int_from_float": _whole,
    "float_type": _number,
    "float_parsing": _number,
    "finite_number": lambda _: "a finite number",
    "string_type": _text,
    "bool_type": lambda _: "true or false",
    "bool_parsing": lambda _: "true or false",
    "tuple_type": lambda _: "a list",
    "model_type": lambda _: "a mapping of keys to values",
    "literal_error": lambda context: f"one of {context['expected']}",
    "greater_than_equal": lambda context: f"at least {context['ge']:g}",
    "greater_than": lambda context: f"more than {context['gt']:g}",
    "less_than_equal": lambda context: f"at most {context['le']:g}",
    "less_than": lambda context: f"less than {context['lt']:g}",
}
