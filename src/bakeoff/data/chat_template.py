"""Renders a conversation with a chat template, as transformers does."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, NoReturn

from bakeoff.base.errors import UserError
from bakeoff.schema.chat_template import CHAT_DATE, ChatTemplate

Turns = Sequence[Mapping[str, str]]


class ChatRenderer:
    """One chat template with the settings, filters and functions that transformers gives it.

    Source: ``transformers/utils/chat_template_utils.py``. A template that prints today's date gets
    a fixed one: the same rows must be the same text tomorrow, and the text that was learned must be
    the text that is asked.

    Raises:
        UserError: The model has no template, or it is not valid Jinja.
    """

    def __init__(self, template: ChatTemplate) -> None:
        import jinja2  # noqa: PLC0415 - slow to import
        from jinja2.sandbox import ImmutableSandboxedEnvironment  # noqa: PLC0415

        if template.text is None:
            raise UserError(
                "`prompt.template: chat`: the model comes without a chat template",
                hint="name a chat model, write a template of your own, or say "
                "`prompt.template: raw`",
            )
        self._special_tokens = template.special_tokens
        self._errors = (jinja2.TemplateError, ArithmeticError, LookupError, TypeError, ValueError)
        environment = ImmutableSandboxedEnvironment(
            trim_blocks=True,
            lstrip_blocks=True,
            autoescape=False,  # plain text for a model, no HTML
            extensions=["jinja2.ext.loopcontrols", _generation_tag()],
        )
        environment.filters["tojson"] = _to_json
        environment.globals["raise_exception"] = _raise
        environment.globals["strftime_now"] = _fixed_date
        try:
            self._template = environment.from_string(template.text)
        except jinja2.TemplateSyntaxError as error:
            raise UserError(
                f"`prompt.template`, line {error.lineno}: not valid Jinja: {error.message}",
                hint="a chat template loops over `messages` and writes each one's `role` and "
                "`content`",
            ) from error

    def render(self, turns: Turns, *, ask: bool) -> str:
        """The text of a conversation.

        Args:
            turns: Each with its `role` and `content`.
            ask: Whether what opens the assistant's next answer stands at the end.

        Raises:
            UserError: The template refuses this conversation or fails on it.
        """
        try:
            return self._template.render(
                messages=[dict(turn) for turn in turns],
                tools=None,
                documents=None,
                add_generation_prompt=ask,
                **self._special_tokens,
            )
        except self._errors as error:
            raise UserError(
                f"the chat template fails on this conversation: {error}",
                hint="correct the row, or set `prompt.template` to `raw` or to another template",
            ) from error


def _generation_tag() -> Any:
    """`{% generation %}` marks the assistant's words for others; its inside stands as it is."""
    from jinja2 import nodes  # noqa: PLC0415 - slow to import
    from jinja2.ext import Extension  # noqa: PLC0415

    class Generation(Extension):
        tags = {"generation"}  # noqa: RUF012 - the name that Jinja reads

        def parse(self, parser: Any) -> Any:  # type: ignore[explicit-override]
            line = next(parser.stream).lineno
            body = parser.parse_statements(("name:endgeneration",), drop_needle=True)
            return nodes.Scope(body, lineno=line)

    return Generation


def _to_json(
    value: Any,
    ensure_ascii: bool = False,  # noqa: FBT001, FBT002 - templates call it so
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    return json.dumps(
        value,
        ensure_ascii=ensure_ascii,
        indent=indent,
        separators=separators,
        sort_keys=sort_keys,
    )


def _raise(message: str) -> NoReturn:
    import jinja2  # noqa: PLC0415

    raise jinja2.TemplateError(message)


def _fixed_date(form: str) -> str:
    return datetime.fromisoformat(CHAT_DATE).replace(tzinfo=UTC).strftime(form)
