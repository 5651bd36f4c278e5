"""The text of one question, byte for byte as the harness asks it."""

import re

from bakeoff.base.errors import UserError


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
            self._template = environment.from_string(text)
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
            text = self._template.render(prompt=prompt)
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


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, string, count=count)
