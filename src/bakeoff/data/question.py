"""The text of one question, byte for byte as the harness asks it."""

import re
from collections.abc import Callable
from typing import TYPE_CHECKING

from bakeoff.base.errors import UserError

if TYPE_CHECKING:
    import jinja2.nodes


class QuestionTemplate:
    """Renders a question with `prompt.text`.

    Settings and the one added filter are those of lm-evaluation-harness (``lm_eval/utils.py``,
    ``apply_template``), sandboxed on top. Of the row only ``prompt`` can be used: a template that
    reads the response would give the answer away.

    Raises:
        UserError: The template is not valid Jinja.
    """

    def __init__(self, text: str) -> None:
        import jinja2  # noqa: PLC0415 - slow to import
        from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

        self._errors = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
        environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            # Plain text for a model, no HTML; escaping would change the questions.
            autoescape=False,
        )
        environment.filters["regex_replace"] = _regex_replace
        try:
            plain = _plain_renderer(environment.parse(text))
            self._render: Callable[..., str] = plain or environment.from_string(text).render
        except jinja2.TemplateSyntaxError as error:
            raise UserError(
                f"`prompt.text`, line {error.lineno}: not a valid Jinja template: {error.message}",
                hint="write the question as {{prompt}}, e.g. `Question: {{prompt}}\\nAnswer:`",
            ) from error

    def render(self, prompt: str) -> str:
        """What a model is asked.

        Raises:
            UserError: The template fails on this prompt, or leaves nothing of it.
        """
        try:
            text = self._render(prompt=prompt)
        except self._errors as error:
            raise UserError(
                f"`prompt.text` cannot be rendered: {error}",
                hint="of a row the template knows `prompt` only: write {{prompt}}",
            ) from error
        if not text.strip():
            raise UserError(
                "`prompt.text` renders to nothing", hint="write the question as {{prompt}}"
            )
        return text


def _plain_renderer(template: "jinja2.nodes.Template") -> Callable[..., str] | None:
    """For a template of words and ``{{prompt}}`` alone: Jinja's own call costs ten times as much.

    None for any other.
    """
    from jinja2 import nodes  # noqa: PLC0415 - slow to import

    parts = [part for output in template.body for part in output.iter_child_nodes()]
    is_plain = all(isinstance(output, nodes.Output) for output in template.body) and all(
        isinstance(part, nodes.TemplateData) or part == nodes.Name("prompt", "load")
        for part in parts
    )
    if not is_plain:
        return None
    words = [part.data if isinstance(part, nodes.TemplateData) else None for part in parts]
    return lambda prompt: "".join(prompt if word is None else word for word in words)


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, string, count=count)
