"""Special tokens and the chat template, as the files beside a model have them."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bakeoff.base.files import read_json
from bakeoff.schema.chat_template import ChatTemplate


@dataclass(frozen=True)
class TokenFacts:
    """What each file says; None where it says nothing."""

    template: str | None
    eos_token: str | None
    """The tokenizer's own."""

    eos_token_id: int | None
    pad_token: str | None
    pad_token_id: int | None
    config_eos_ids: tuple[int, ...]
    generation_eos_ids: tuple[int, ...] | None
    """None: there are no generation settings."""

    num_tokens: int | None
    """In the tokenizer; None where only another form than tokenizer.json is there."""

    vocabulary_size: int | None
    """Rows of the embedding, as the configuration has it."""

    texts: dict[int, str]
    """Of the special tokens that a message may speak of."""

    def eos_ends_the_template(self) -> bool:
        """Whether the end-of-sequence token stands in the template."""
        if self.template is None or self.eos_token is None:
            return False
        return self.eos_token in self.template or "eos_token" in self.template

    def traps(self) -> Iterator[str]:
        """What may spoil a training or an evaluation, and how, a sentence each."""
        yield from self._end_traps()
        yield from self._padding_traps()
        rows = self.vocabulary_size
        if self.num_tokens is not None and rows is not None and self.num_tokens > rows:
            yield (
                f"the tokenizer has {self.num_tokens} tokens, the embedding only {rows} rows: the "
                "last tokens would crash the model"
            )

    def _end_traps(self) -> Iterator[str]:
        if self.eos_token is None:
            yield "the tokenizer has no end-of-sequence token: a trained answer cannot end"
            return
        own, known = self.eos_token_id, self.generation_eos_ids
        if own is None:
            yield f"the end-of-sequence token `{self.eos_token}` is not in the tokenizer's list"
            return
        if self.config_eos_ids and own not in self.config_eos_ids:
            yield (
                f"the tokenizer's end-of-sequence token is `{self.eos_token}` ({own}), config.json "
                f"says {self._spelt(self.config_eos_ids)}: tools that read one or the other differ"
            )
        if known is None:
            yield "there is no generation_config.json: generation ends where config.json says"
        elif not known:
            yield "generation_config.json names no end-of-sequence token: answers may never end"
        elif own not in known:
            yield (
                f"generation_config.json stops at {self._spelt(known)} and not at "
                f"`{self.eos_token}` ({own}), which trained answers end in"
            )
        if self.template is not None and not self.eos_ends_the_template():
            yield (
                f"the chat template's turns do not end in `{self.eos_token}`: in a chat the model "
                "stops only if its template's own mark stops it"
            )

    def _padding_traps(self) -> Iterator[str]:
        if self.pad_token is None:
            yield "there is no padding token: trainers that pad must choose one"
        elif self.pad_token == self.eos_token:
            yield (
                f"padding is the end-of-sequence token (`{self.pad_token}`): a trainer that masks "
                "padding by its id never learns to stop (the built-in trainer masks by position)"
            )

    def _spelt(self, ids: tuple[int, ...]) -> str:
        return ", ".join(
            f"`{self.texts[token]}` ({token})" if token in self.texts else str(token)
            for token in ids
        )


_SPECIAL = ("bos_token", "eos_token", "unk_token", "sep_token", "pad_token", "cls_token")
"""Those that transformers hands to a chat template."""


def read_chat_template(folder: Path) -> ChatTemplate:
    """The template of the model in ``folder``, and the special tokens that it may name."""
    settings = _read(folder / "tokenizer_config.json")
    specials = _read(folder / "special_tokens_map.json")
    found = {name: _text(settings.get(name) or specials.get(name)) for name in _SPECIAL}
    return ChatTemplate(
        text=_template(folder, settings),
        special_tokens={name: text for name, text in found.items() if text},
    )


def read_tokens(folder: Path, config: dict[str, Any]) -> TokenFacts:
    """From tokenizer.json, tokenizer_config.json, config.json and generation_config.json."""
    settings = _read(folder / "tokenizer_config.json")
    specials = _read(folder / "special_tokens_map.json")
    ids = _token_ids(folder, settings)
    eos = _text(settings.get("eos_token") or specials.get("eos_token"))
    pad = _text(settings.get("pad_token") or specials.get("pad_token"))
    generation = folder / "generation_config.json"
    return TokenFacts(
        template=_template(folder, settings),
        eos_token=eos,
        eos_token_id=ids.get(eos) if eos else None,
        pad_token=pad,
        pad_token_id=ids.get(pad) if pad else None,
        config_eos_ids=_ids(config.get("eos_token_id")),
        generation_eos_ids=(
            _ids(_read(generation).get("eos_token_id")) if generation.is_file() else None
        ),
        num_tokens=max(ids.values()) + 1 if (folder / "tokenizer.json").is_file() and ids else None,
        vocabulary_size=config.get("vocab_size"),
        texts={number: text for text, number in ids.items()},
    )


def _token_ids(folder: Path, settings: dict[str, Any]) -> dict[str, int]:
    """Numbers by text, of the whole vocabulary where the form of the file tells it."""
    found: dict[str, int] = {}
    tokenizer = _read(folder / "tokenizer.json")
    vocabulary = (tokenizer.get("model") or {}).get("vocab")
    if isinstance(vocabulary, dict):
        found.update(vocabulary)
    elif isinstance(vocabulary, list):  # unigram: pairs of text and score
        found.update({entry[0]: number for number, entry in enumerate(vocabulary)})
    found.update({t["content"]: t["id"] for t in tokenizer.get("added_tokens") or []})
    for number, token in (settings.get("added_tokens_decoder") or {}).items():
        found.setdefault(token["content"], int(number))
    return found


def _template(folder: Path, settings: dict[str, Any]) -> str | None:
    """Newer models keep it in a file of its own, which goes first."""
    file = folder / "chat_template.jinja"
    if file.is_file():
        return file.read_text(encoding="utf-8")
    stated = _read(folder / "chat_template.json").get("chat_template")
    value = stated or settings.get("chat_template")
    if isinstance(value, list):  # several, by name
        named = {entry.get("name"): entry.get("template") for entry in value}
        value = named.get("default") or next(iter(named.values()), None)
    return value if isinstance(value, str) else None


def _text(token: Any) -> str | None:
    """A token is written as text or as a mapping with its properties."""
    if isinstance(token, dict):
        token = token.get("content")
    return token if isinstance(token, str) else None


def _ids(value: Any) -> tuple[int, ...]:
    if isinstance(value, list):
        return tuple(int(number) for number in value)
    return () if value is None else (int(value),)


def _read(path: Path) -> dict[str, Any]:
    value = read_json(path) if path.is_file() else {}
    return value if isinstance(value, dict) else {}
