"""A model's chat template, as the files beside the model have it."""

from bakeoff.schema.document import Document

CHAT_DATE = "2024-07-26"
"""Today, to a template that asks for the date: Llama 3's own when nobody tells it."""


class ChatTemplate(Document):
    """Jinja over ``messages``, and the special tokens that it may name."""

    text: str | None
    """None: the model comes without one."""

    special_tokens: dict[str, str]
    """By what templates call them (`bos_token`, `eos_token`, ...)."""
