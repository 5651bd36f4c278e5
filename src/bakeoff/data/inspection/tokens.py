"""The tokens that a training sees, found with `tokenizers` alone: no training stack is needed.

The ids are those of ``bakeoff.worker.rows``: each segment by itself, a beginning-of-sequence token
if the tokenizer puts one, the end-of-sequence token last. A test holds the two together.

Accepted trade-off: without a `tokenizer.json` (SentencePiece files alone) lengths are estimates.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from bakeoff.base.errors import UserError
from bakeoff.base.files import read_json

IGNORED = -100
"""Label of a token that is not learned."""

_CHARACTERS_PER_TOKEN = 3.0
"""Of text in Latin letters: real GSM8K has 2.8 with SmolLM2's tokenizer, which cuts numbers into
digits as Qwen's does. Anything beyond ASCII is taken as one token a character."""


class TokenRow(NamedTuple):
    """What the model is trained on: equally many ids and labels."""

    token_ids: list[int]
    labels: list[int]
    num_cut: int
    """Tokens of the first question that were cut off because the row is too long."""


class TrainingTokenizer:
    """A model's tokenizer as the trainer uses it.

    Raises:
        UserError: The tokenizer's file cannot be read.
    """

    def __init__(self, folder: Path) -> None:
        import tokenizers  # noqa: PLC0415 - a compiled library

        path = folder / "tokenizer.json"
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises nothing narrower
            raise UserError(
                f"{path} cannot be read as a tokenizer: {error}",
                hint="get the model's files again, or name another model with --model",
            ) from error
        # The file may ask for both; the trainer asks for neither.
        self._tokenizer.no_truncation()
        self._tokenizer.no_padding()
        config_path = folder / "tokenizer_config.json"
        self._config: dict[str, Any] = read_json(config_path) if config_path.exists() else {}
        self.end_id = self._special_id("eos_token")
        """None when the tokenizer names no end-of-sequence token."""

        self._start = self._beginning()

    @property
    def special_tokens(self) -> list[str]:
        """Texts that become one control token."""
        added = self._tokenizer.get_added_tokens_decoder().values()
        return sorted(token.content for token in added if token.special)

    def ids(self, texts: Sequence[str]) -> list[list[int]]:
        encoded = self._tokenizer.encode_batch_fast(list(texts), add_special_tokens=False)
        return [found.ids for found in encoded]

    def row(
        self, segments: Sequence[Mapping[str, Any]], *, loss_on: str, max_length: int, overlong: str
    ) -> TokenRow:
        """Ids and labels of one row; one that is dropped is given whole.

        Args:
            segments: `text` and `loss` of each, as the prompt renderer makes them.
            loss_on: `response` or `all`, as in the recipe.
            max_length: In tokens.
            overlong: What the recipe says of longer rows.
        """
        pieces = self.ids([segment["text"] for segment in segments])
        pieces[0] = pieces[0][self.num_at_start(pieces[0]) :]
        num_cut = 0
        if overlong == "truncate-prompt-left":
            lengths = [len(piece) for piece in pieces]
            excess = max(0, sum(lengths) + self.num_added - max_length)
            if excess <= num_cuttable(lengths[0], is_learned=segments[0]["loss"]):
                num_cut = excess
        pieces[0] = pieces[0][num_cut:]
        token_ids = [*self._start]
        labels = [IGNORED] * len(token_ids)
        for segment, tokens in zip(segments, pieces, strict=True):
            token_ids += tokens
            labels += tokens if segment["loss"] else [IGNORED] * len(tokens)
        end = [] if self.end_id is None else [self.end_id]
        token_ids, labels = [*token_ids, *end], [*labels, *end]
        return TokenRow(token_ids, token_ids if loss_on == "all" else labels, num_cut)

    def num_at_start(self, token_ids: Sequence[int]) -> int:
        """How many tokens begin a text that the tokenizer puts there anyway.

        A chat template may write the beginning of a sequence itself; it stands there once.
        """
        start = self._start
        return len(start) if start and list(token_ids[: len(start)]) == start else 0

    @property
    def end_token(self) -> str | None:
        """The end-of-sequence token as it is written."""
        return None if self.end_id is None else str(self._tokenizer.id_to_token(self.end_id))

    @property
    def num_added(self) -> int:
        """Tokens that come on top of the segments' own."""
        return len(self._start) + (self.end_id is not None)

    def _special_id(self, name: str) -> int | None:
        token = self._config.get(name)
        content = token.get("content") if isinstance(token, dict) else token
        return None if content is None else self._tokenizer.token_to_id(content)

    def _beginning(self) -> list[int]:
        begin_id = self._special_id("bos_token")
        plain = self._tokenizer.encode("a", add_special_tokens=False).ids
        special = self._tokenizer.encode("a").ids
        adds_one = len(special) > len(plain) and special[0] == begin_id
        return [begin_id] if adds_one and begin_id is not None else []


def num_cuttable(length: int, *, is_learned: bool) -> int:
    """Tokens that may be cut off a row's first segment; one of a question stays."""
    return 0 if is_learned else length - 1


def load_tokenizer(folder: Path | None) -> TrainingTokenizer | None:
    """None when there is no model on disk, or it has no `tokenizer.json`."""
    if folder is None or not (folder / "tokenizer.json").is_file():
        return None
    return TrainingTokenizer(folder)


def estimated_tokens(text: str) -> int:
    num_ascii = len(text) if text.isascii() else sum(char < "\x80" for char in text)
    return round(num_ascii / _CHARACTERS_PER_TOKEN) + len(text) - num_ascii
