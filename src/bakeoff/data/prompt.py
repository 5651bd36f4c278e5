"""Rows become text: what is read, what is learned, what is asked. One renderer for all three."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple, Protocol, TypedDict

from bakeoff.base.errors import UserError
from bakeoff.base.hashing import digest_json
from bakeoff.data.chat_template import ChatRenderer
from bakeoff.data.question import QuestionTemplate
from bakeoff.data.rows import Row
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.recipe_subject import PromptSpec

TURN_SEPARATOR = "\n\n"
"""Between turns, and after a system message; the harness's own between worked examples."""


class Segment(TypedDict):
    """A part of a row."""

    text: str
    loss: bool
    """Whether it is learned."""


class Rendered(NamedTuple):
    """A row as text."""

    segments: list[Segment]
    """All of it in training: what is read, then what is learned.

    The end-of-sequence token that ends every row is the trainer's to add. An answer whose ``loss``
    is false is read, not learned. Plain text stands as it is.
    """

    asked: str
    """All that a model reads before it answers the last question, when no example is shown."""

    context: str
    """What stands before the last question: the system message and the earlier turns."""


class PromptRenderer(Protocol):
    """How a recipe turns rows into text."""

    @property
    def digest(self) -> str:
        """Equal for templates that are equal."""
        ...

    def render(self, row: Row) -> Rendered:
        """The row as it is trained on and asked.

        Raises:
            UserError: The template fails on this row.
        """
        ...


def make_renderer(spec: PromptSpec, chat: ChatTemplate | None) -> PromptRenderer:
    """The renderer that a recipe asks for.

    Args:
        spec: The recipe's `prompt`.
        chat: The chat template of the recipe's model; needed where ``spec`` is not raw.

    Raises:
        UserError: A template is not valid Jinja, or the model has none.
    """
    if spec.is_raw:
        return RawPrompt(spec)
    if chat is None:
        raise ValueError("a chat needs the special tokens of its model")
    text = chat.text if spec.template == "chat" else spec.template
    return ChatPrompt(spec, chat.model_copy(update={"text": text}))


class RawPrompt:
    """Question and answer as plain text, for base models.

    Of several turns each question is rendered with the template and followed by the separator and
    its answer; two turns, and a system message and the first of them, are parted by an empty line,
    as the harness parts worked examples.
    """

    def __init__(self, spec: PromptSpec) -> None:
        self._spec = spec
        self._question = QuestionTemplate(spec.text)

    @property
    def digest(self) -> str:
        return digest_json(self._spec.model_dump(mode="json"))

    def render(self, row: Row) -> Rendered:
        if not row.prompt:
            return _plain_text(row)
        parts = list(self._parts(row))
        texts = [text for text, _ in parts]
        before = "".join(texts[:-2])
        return Rendered(_joined(parts), "".join(texts[:-1]), before and before + TURN_SEPARATOR)

    def _parts(self, row: Row) -> Iterator[tuple[str, bool]]:
        parting = ""
        for turn in row.conversation:
            if turn.role == "system":
                # An empty one says nothing to a model that is asked in plain text.
                if turn.content:
                    yield turn.content, False
                    parting = TURN_SEPARATOR
            elif turn.role == "user":
                yield parting + self._question.render(turn.content), False
                parting = TURN_SEPARATOR
            else:
                yield self._spec.separator + turn.content, turn.loss


class ChatPrompt:
    """A conversation in a chat template: the model's own, or the recipe's.

    What is learned of an answer is what the template makes of it, with the mark that ends the
    turn; white space after that mark belongs to what is read next, for at that place a model has
    stopped already. An answer that the template writes otherwise once it is no longer the last is
    refused: what would be learned is not what would be read.
    """

    def __init__(self, spec: PromptSpec, chat: ChatTemplate) -> None:
        self._spec = spec
        self._chat = chat
        self._question = QuestionTemplate(spec.text)
        self._renderer = ChatRenderer(chat)
        _require_words(self._renderer)

    @property
    def digest(self) -> str:
        return digest_json([self._spec.model_dump(mode="json"), self._chat.model_dump(mode="json")])

    def render(self, row: Row) -> Rendered:
        """As the protocol says; of the context the bare words, not as the template has them."""
        if not row.prompt:
            return _plain_text(row)
        parts = list(self._parts(self._turns(row), [turn.loss for turn in row.conversation]))
        asked = "".join(text for text, _ in parts[:-1])
        end = self._chat.special_tokens.get("eos_token")
        last, is_learned = parts[-1]
        if end and last.endswith(end) and last != end:
            # The trainer ends every row so.
            parts[-1] = last.removesuffix(end), is_learned
        before = [turn.content for turn in row.conversation[:-2] if turn.content]
        return Rendered(_joined(parts), asked, TURN_SEPARATOR.join(before))

    def _turns(self, row: Row) -> list[dict[str, str]]:
        turns = [
            {
                "role": turn.role,
                "content": self._question.render(turn.content)
                if turn.role == "user"
                else turn.content,
            }
            for turn in row.conversation
        ]
        if self._spec.system is not None and turns[0]["role"] != "system":
            turns.insert(0, {"role": "system", "content": self._spec.system})
        return turns

    def _parts(self, turns: list[dict[str, str]], losses: list[bool]) -> Iterator[tuple[str, bool]]:
        losses = [False] * (len(turns) - len(losses)) + losses
        done = ""
        for index, turn in enumerate(turns):
            if turn["role"] != "assistant":
                continue
            asked = self._renderer.render(turns[:index], ask=True)
            yield self._after(done, asked, index), False
            said = self._renderer.render(turns[: index + 1], ask=False)
            answer = _without_space_at_end(self._after(asked, said, index), turn["content"])
            yield answer, losses[index]
            done = asked + answer

    def _after(self, start: str, whole: str, index: int) -> str:
        if not whole.startswith(start):
            raise UserError(
                f"turn {index + 1}: the chat template writes what stands before it otherwise when "
                "it is there, so that what is learned would not be what is asked",
                hint="write a template of your own as `prompt.template`, or keep rows of one "
                "question and answer",
            )
        return whole[len(start) :]


def _require_words(renderer: ChatRenderer) -> None:
    """Jinja writes nothing for a name that it does not know, so `message.contnt` goes unseen.

    Raises:
        UserError: The template leaves out what the user or the assistant says.
    """
    for role, place in (("user", 0), ("assistant", 1)):
        said = [["one", "one"], ["one", "one"]]
        said[1][place] = "two"
        try:
            texts = {_said(renderer, *words) for words in said}
        except UserError:
            return  # a template that refuses these turns tells so at a row that it refuses
        if len(texts) == 1:
            raise UserError(
                f"`prompt.template` writes nothing of what the {role} says",
                hint="write each message's `content`, spelt so",
            )


def _said(renderer: ChatRenderer, question: str, answer: str) -> str:
    turns = [{"role": "user", "content": question}, {"role": "assistant", "content": answer}]
    return renderer.render(turns, ask=False)


def _without_space_at_end(answer: str, content: str) -> str:
    """Without the white space after the mark that ends a turn; the answer's own stays."""
    cut = answer.rstrip()
    return answer if cut.endswith(content.rstrip()) else cut


def _plain_text(row: Row) -> Rendered:
    return Rendered([{"text": row.response, "loss": True}], asked="", context="")


def _joined(parts: Iterable[tuple[str, bool]]) -> list[Segment]:
    """Neighbours that are only read become one segment: they are cut into tokens as when asked."""
    segments: list[Segment] = []
    for text, is_learned in parts:
        if segments and not is_learned and not segments[-1]["loss"]:
            segments[-1]["text"] += text
        else:
            segments.append({"text": text, "loss": is_learned})
    return segments
