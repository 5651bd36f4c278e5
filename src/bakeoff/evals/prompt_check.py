"""Mistakes in a prompt template that would only show when the first question is asked."""

from jinja2 import Environment, TemplateSyntaxError, meta

from bakeoff.schema.plan import Problem
from bakeoff.schema.recipe_subject import PromptSpec


def check_prompt(prompt: PromptSpec) -> list[Problem]:
    """Empty when the text is valid Jinja that uses ``prompt`` and nothing else.

    The harness offers a template every column of a row: one that uses ``response`` would tell the
    model the answer.
    """
    environment = Environment()  # noqa: S701 - makes plain text, no HTML
    try:
        used = meta.find_undeclared_variables(environment.parse(prompt.text))
    except TemplateSyntaxError as error:
        return [_problem(f"is not a valid Jinja template (line {error.lineno}: {error.message})")]
    if used != {"prompt"}:
        names = ", ".join(f"`{name}`" for name in sorted(used)) or "none"
        return [_problem(f"must use the variable `prompt` and no other; it uses {names}")]
    return []


def _problem(message: str) -> Problem:
    return Problem(
        key="prompt.text", message=message, hint='such as "Question: {{prompt}}\\nAnswer:"'
    )
