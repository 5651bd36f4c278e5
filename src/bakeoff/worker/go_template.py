"""A chat template in the language of Ollama's: Go's text/template.

Nobody translates Jinja. A template is asked instead: what it writes around marked messages are the
pieces of a Go template, and whether they make every conversation is tried, not believed. What goes
beyond joining turns (tools, thinking that is cut out of earlier answers) is left out or refused.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

Turns = list[dict[str, str]]
_SYSTEM, _FIRST, _ANSWER, _SECOND = "systemMARK", "firstMARK", "answerMARK", "secondMARK"

_EACH = "{{ range $i, $_ := .Messages }}"
_IF_LAST = "{{ if eq (len (slice $.Messages $i)) 1 }}"
_END = "{{ end }}"


class NotTurnsError(Exception):
    """The template does something else than putting words around turns."""


@dataclass(frozen=True, kw_only=True)
class Pieces:
    """What stands around the messages of a conversation."""

    asked: tuple[str, ...]
    """Around each place of the user's text; the last one reaches to where the answer begins."""

    is_one_turn: bool
    """Only the last question is asked, whatever was said before."""

    opening: str = ""
    """Before the first turn where nobody gives a system message."""

    system: tuple[str, str] | None = None
    """Around one that is given, in place of ``opening``; None: none can be."""

    before_answer: str | None = None
    """After the user's text where an answer follows; None: as where one is to be given."""

    after_answer: str = ""

    def conversation(self, turns: Turns) -> str:
        """As the Go template writes it."""
        said = [t["content"] for t in turns if t["role"] == "system"]
        if self.is_one_turn:
            return self.opening + turns[-1]["content"].join(self.asked)
        opening = self.opening
        if said and self.system is not None:
            opening = said[0].join(self.system)
        last = len(turns) - 1
        return opening + "".join(
            self._turn(turn, is_last=i == last) for i, turn in enumerate(turns)
        )

    def _turn(self, turn: dict[str, str], *, is_last: bool) -> str:
        before, after = self.asked
        if not is_last and self.before_answer is not None:
            after = self.before_answer
        return {
            "user": f"{before}{turn['content']}{after}",
            "assistant": f"{turn['content']}{self.after_answer}",
            "system": "",
        }[turn["role"]]

    def go(self) -> str:
        """The Go template, over ``.System`` and ``.Messages``."""
        asked = "{{ .Content }}".join(_literal(piece) for piece in self.asked)
        opening = _literal(self.opening)
        if self.is_one_turn:
            return f"{opening}{_EACH}{_IF_LAST}{asked}{_END}{_END}"
        if self.system is not None:
            given = "{{ .System }}".join(_literal(piece) for piece in self.system)
            otherwise = f"{{{{ else }}}}{opening}" if opening else ""
            opening = f"{{{{ if .System }}}}{given}{otherwise}{_END}"
        if self.before_answer is not None:
            before, after = (_literal(piece) for piece in self.asked)
            otherwise = f"{{{{ else }}}}{_literal(self.before_answer)}{_END}"
            asked = f"{before}{{{{ .Content }}}}{_IF_LAST}{after}{otherwise}"
        answered = f"{{{{ .Content }}}}{_literal(self.after_answer)}"
        if_user, if_assistant = '{{ if eq .Role "user" }}', '{{ else if eq .Role "assistant" }}'
        return f"{opening}{_EACH}{if_user}{asked}{if_assistant}{answered}{_END}{_END}"


def find_pieces(render: Callable[[Turns], str]) -> Pieces:
    """Those of a template.

    Args:
        render: Writes a conversation up to where the next answer begins.

    Raises:
        NotTurnsError: They do not make the conversations that the template makes.
    """
    one_turn = [_user(_FIRST), _assistant(_ANSWER), _user(_SECOND)]
    is_one_turn = _FIRST not in render(one_turn)
    pieces = _of_one_turn(render) if is_one_turn else _of_turns(render)
    for turns in _tried(with_system=pieces.system is not None):
        expected, got = render(turns), pieces.conversation(turns)
        if expected != got:
            raise NotTurnsError(f"expected {expected!r}, a Go template would write {got!r}")
    return pieces


def _of_one_turn(render: Callable[[Turns], str]) -> Pieces:
    return Pieces(asked=tuple(render([_user(_FIRST)]).split(_FIRST)), is_one_turn=True)


def _of_turns(render: Callable[[Turns], str]) -> Pieces:
    head, tail = _cut(render([_user(_FIRST)]), _FIRST)
    rest = render([_user(_FIRST), _assistant(_ANSWER), _user(_SECOND)])
    answered = _between(rest, _FIRST, _ANSWER)
    between = _between(rest, _ANSWER, _SECOND)
    told = _told(render)
    before_user = _common_end([head, between, *([] if told is None else [told[1]])])
    cut = len(before_user)
    return Pieces(
        asked=(before_user, tail),
        is_one_turn=False,
        opening=head[: len(head) - cut],
        system=None if told is None else (told[0], told[1][: len(told[1]) - cut]),
        before_answer=None if answered == tail else answered,
        after_answer=between[: len(between) - cut],
    )


def _told(render: Callable[[Turns], str]) -> tuple[str, str] | None:
    """Around a system message, up to the first question; None where the template takes none."""
    try:
        text = render([{"role": "system", "content": _SYSTEM}, _user(_FIRST)])
    except Exception:  # noqa: BLE001 - a template says so by an error of its own making
        return None
    if _SYSTEM not in text:
        return None
    before, after = _cut(text, _SYSTEM)
    return before, _cut(after, _FIRST)[0]


def _tried(*, with_system: bool) -> list[Turns]:
    talk = [_user("小明有3个苹果。\n几个？"), _assistant("3"), _user("{{ a }} & <b>?")]
    talks = [[_user("1 + 1?")], talk, [*talk, _assistant("no"), _user("why")]]
    told = [{"role": "system", "content": "Be brief."}]
    return talks + ([[*told, *one] for one in talks] if with_system else [])


def _cut(text: str, mark: str) -> tuple[str, str]:
    parts = text.split(mark)
    if len(parts) != 2:
        raise NotTurnsError(f"a message stands {len(parts) - 1} times in {text!r}")
    return parts[0], parts[1]


def _between(text: str, before: str, after: str) -> str:
    return _cut(_cut(text, before)[1], after)[0]


def _common_end(texts: Sequence[str]) -> str:
    for length in range(min(map(len, texts)), 0, -1):
        if all(text.endswith(texts[0][-length:]) for text in texts):
            return texts[0][-length:]
    return ""


def _literal(text: str) -> str:
    """Braces that are meant as such."""
    return text.replace("{{", '{{ "{{" }}')


def _user(content: str) -> dict[str, str]:
    return {"role": "user", "content": content}


def _assistant(content: str) -> dict[str, str]:
    return {"role": "assistant", "content": content}
