"""A chat template that asks as the training asked, for tools that only know chats.

A model that was tuned on plain text never saw the turns of its tokenizer's chat template: asked in
them, it answers as if it had not been trained. So the prompt of the recipe becomes a chat template
itself, which goes wherever the model goes.
"""

from typing import Any

_PLACE = "prompt"


def asked_template(prompt: dict[str, Any] | None, tokenizer: Any) -> str | None:
    """The Jinja chat template; None where there is nothing to ask in.

    Args:
        prompt: of the recipe (``template``, ``text``, ``system``); None: the tokenizer's own.
        tokenizer: of the base model.
    """
    own: str | None = tokenizer.chat_template
    if prompt is None:
        return own
    if prompt["template"] == "raw":
        begin = "{{- bos_token -}}" if _begins_by_itself(tokenizer) else ""
        asked = "{%- set prompt = (messages | selectattr('role', 'equalto', 'user') | list)"
        return f"{asked}[-1]['content'] -%}}{begin}{prompt['text']}"
    template = own if prompt["template"] == "chat" else str(prompt["template"])
    return None if template is None else _said(prompt) + template


def _said(prompt: dict[str, Any]) -> str:
    """What goes before a template: the system message and the words around each question."""
    lines = []
    if prompt["system"] is not None:
        system = _quoted(prompt["system"])
        lines.append(
            "{%- if messages[0]['role'] != 'system' -%}{%- set messages = "
            f"[{{'role': 'system', 'content': {system}}}] + messages -%}}{{%- endif -%}}"
        )
    if prompt["text"].replace(" ", "") != "{{prompt}}":
        lines.append(
            "{%- set put = namespace(turns=[]) -%}{%- for turn in messages -%}"
            "{%- if turn['role'] == 'user' -%}{%- set prompt = turn['content'] -%}"
            f"{{%- set words -%}}{prompt['text']}{{%- endset -%}}"
            "{%- set put.turns = put.turns + [{'role': 'user', 'content': words}] -%}"
            "{%- else -%}{%- set put.turns = put.turns + [turn] -%}{%- endif -%}"
            "{%- endfor -%}{%- set messages = put.turns -%}"
        )
    return "".join(lines)


def _quoted(text: str) -> str:
    """A text as Jinja writes it."""
    told = text.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n")
    return f"'{told}'"


def _begins_by_itself(tokenizer: Any) -> bool:
    """Whether the tokenizer puts its first token before plain text; a chat template has to."""
    first = tokenizer("a")["input_ids"][:1]
    return tokenizer.bos_token_id is not None and first == [tokenizer.bos_token_id]


def end_ids(tokenizer: Any) -> list[int]:
    """Tokens that end an answer: the end of the sequence, and of a turn of the chat template."""
    found = [] if tokenizer.eos_token_id is None else [int(tokenizer.eos_token_id)]
    if tokenizer.chat_template is not None:
        turns = [{"role": "user", "content": _PLACE}, {"role": "assistant", "content": _PLACE}]
        after = tokenizer.apply_chat_template(turns, tokenize=False).rpartition(_PLACE)[2]
        ids = tokenizer(after, add_special_tokens=False)["input_ids"]
        found += [i for i in ids[:1] if i in tokenizer.added_tokens_decoder and i not in found]
    return found
