"""A question becomes the text that a model sees, byte for byte as the harness asks it."""

import itertools
import re
from collections.abc import Iterable, Iterator

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.data.rows import Row
from bakeoff.schema.recipe import PromptSpec

TURN_SEPARATOR = "\n\n"
"""Between turns, and after a system message; the harness's own between worked examples."""


class PromptRenderer:
    """Renders rows with the template of a recipe.

    Settings and the one added filter are those of lm-evaluation-harness (``lm_eval/utils.py``,
    ``apply_template``), sandboxed on top. Of the row only ``prompt`` can be used: a template that
    reads the response would give the answer away.

    Raises:
        UserError: The template is not valid Jinja.
    """

    def __init__(self, spec: PromptSpec) -> None:
        import jinja2  # noqa: PLC0415 - slow to import
        from jinja2.sandbox import SandboxedEnvironment  # noqa: PLC0415

        self._spec = spec
        self._errors = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
        environment = SandboxedEnvironment(
            undefined=jinja2.StrictUndefined,
            keep_trailing_newline=True,
            # Plain text for a model, no HTML; escaping would change the questions.
            autoescape=False,
        )
        environment.filters["regex_replace"] = _regex_replace
        try:
            self._template = environment.from_string(spec.text)
        except jinja2.TemplateSyntaxError as error:
            raise UserError(
                f"`prompt.text`, line {error.lineno}: not a valid Jinja template: {error.message}",
                hint="write the question as {{prompt}}, e.g. `Question: {{prompt}}\\nAnswer:`",
            ) from error

    @property
    def digest(self) -> str:
        """Equal for templates and separators that are equal."""
        return digest_json(self._spec.model_dump(mode="json"))

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

    def segments(self, row: Row) -> list[dict[str, str | bool]]:
        """The row as training text: what is read, then what is learned.

        Of several turns each question is rendered with the template and followed by the separator
        and its answer; two turns, and a system message and the first of them, are parted by an
        empty line, as the harness parts worked examples. An answer whose ``loss`` is false is read,
        not learned. Plain text stands as it is.
        """
        if not row.prompt:
            return [{"text": row.response, "loss": True}]
        return _joined(self._parts(row))

    def context(self, row: Row) -> str:
        """What stands before the last question: the system message and the earlier turns."""
        before = "".join(text for text, _ in list(self._parts(row))[:-2])
        return before and before + TURN_SEPARATOR

    def _parts(self, row: Row) -> Iterator[tuple[str, bool]]:
        parting = ""
        for turn in row.conversation:
            if turn.role == "system":
                # An empty one says nothing to a model that is asked in plain text.
                if turn.content:
                    yield turn.content, False
                    parting = TURN_SEPARATOR
            elif turn.role == "user":
                yield parting + self.render(turn.content), False
                parting = TURN_SEPARATOR
            else:
                yield self._spec.separator + turn.content, turn.loss


def _joined(parts: Iterable[tuple[str, bool]]) -> list[dict[str, str | bool]]:
    """Neighbours that are only read become one segment: they are cut into tokens as when asked."""
    segments: list[dict[str, str | bool]] = []
    for is_learned, group in itertools.groupby(parts, key=lambda part: part[1]):
        texts = [text for text, _ in group]
        joined = texts if is_learned else ["".join(texts)]
        segments += [{"text": text, "loss": is_learned} for text in joined]
    return segments


def _regex_replace(string: str, pattern: str, repl: str, count: int = 0) -> str:
    return re.sub(pattern, repl, string, count=count)
