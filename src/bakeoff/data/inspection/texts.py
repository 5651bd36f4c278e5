"""What can be seen in a single row: leftovers of chat formats, lost characters, cut-off answers."""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

from bakeoff.data.inspection.kinds import NUM_EXAMPLES, excerpt, make_finding
from bakeoff.data.inspection.languages import language_of
from bakeoff.data.rows import Row
from bakeoff.schema.data_check import Example, Finding

ANSWER_PATTERN = re.compile(r"#### -?[0-9.,]+")
"""What the strict score reads, here and in the harness's `gsm8k`."""

_CONTROL = re.compile(r"<\|[^|<>\n]{2,40}\|>|</s>|<s>|<eos>|<bos>|\[/?INST\]|<start_of_turn>")
# What UTF-8 read as GBK and back becomes, and the mark for a character that was lost.
_GARBLED = re.compile("\ufffd|锟斤拷|Ã[\u0080-\u00bf]|â€[œ™\u009d]")
# Not \neq, \nu and the like, which are formulas.
_LITERAL_BREAK = re.compile(r"\\n(?![a-z])")
_FINISHED = re.compile(r"[\W\d_]\s*$")
_MIN_COPIED_CHARACTERS = 20
# A habit of the dataset, from which single rows depart.
_USUAL_SHARE = 0.8
_SHIFT = 0.5
# What is wrong with a row comes with what to do.
_LONGEST_EXCERPT = 400


class Placed(NamedTuple):
    """A checked row and where it stands."""

    place: str
    row: Row


@dataclass
class Tally:
    """How often, and the first few."""

    count: int = 0
    examples: list[Example] = field(default_factory=list)

    def add(self, place: str, text: str) -> None:
        self.count += 1
        if len(self.examples) < NUM_EXAMPLES:
            self.examples.append(Example(place=place, text=excerpt(text, _LONGEST_EXCERPT)))


class TextChecks:
    """Goes over the rows of one split."""

    def __init__(self, split: str, special_tokens: Iterable[str]) -> None:
        self.split = split
        self.languages: Counter[str] = Counter()
        self._num_rows = 0
        self._tallies = {code: Tally() for code in ("answer-pattern", "unfinished-answer")}
        self._patterns = {
            "control-token": _with_tokens(special_tokens),
            "garbled-text": _GARBLED,
            "literal-line-break": _LITERAL_BREAK,
        }
        self._tallies |= {code: Tally() for code in (*self._patterns, "answer-in-question")}

    def add(self, placed: Placed) -> None:
        place, row = placed
        self._num_rows += 1
        texts = [turn.content for turn in row.conversation]
        self.languages[language_of("\n".join(texts))] += 1
        if row.prompt and not ANSWER_PATTERN.search(row.response):
            self._tallies["answer-pattern"].add(place, _end_of(row.response))
            if not _FINISHED.search(row.response):
                self._tallies["unfinished-answer"].add(place, _end_of(row.response))
        for code, pattern in self._patterns.items():
            found = _first_found(pattern, texts)
            if found is not None:
                self._tallies[code].add(place, found)
        if _is_copied(row):
            self._tallies["answer-in-question"].add(place, row.response)

    def findings(self, *, wants_pattern: bool) -> Iterator[Finding]:
        """What was seen; with ``wants_pattern`` a recipe scores by the number after `####`."""
        yield from self._pattern_findings(wants_pattern=wants_pattern)
        messages = {
            "control-token": "texts that hold what a tokenizer takes for a control token",
            "garbled-text": "texts with characters that were lost in a wrong encoding",
            "literal-line-break": r"texts that hold `\n` as two characters",
            "answer-in-question": "answers that stand word for word in their question",
        }
        for code, message in messages.items():
            if self._tallies[code].count:
                yield self._finding(code, message)

    def _pattern_findings(self, *, wants_pattern: bool) -> Iterator[Finding]:
        missing = self._tallies["answer-pattern"].count
        has_pattern = self._num_rows - missing
        if missing and has_pattern >= _USUAL_SHARE * self._num_rows:
            yield self._finding("answer-pattern", "answers without `#### N`, unlike the others")
        elif missing and (wants_pattern or has_pattern):
            yield self._finding("answer-pattern", "answers without `#### N`")
        unfinished = self._tallies["unfinished-answer"].count
        if unfinished and unfinished <= (1 - _USUAL_SHARE) * self._num_rows:
            message = "answers that end in the middle of a sentence, unlike the others"
            yield self._finding("unfinished-answer", message)

    def _finding(self, code: str, message: str) -> Finding:
        tally = self._tallies[code]
        return make_finding(
            code,
            f"{message}: {tally.count:,} of {self._num_rows:,}",
            count=tally.count,
            out_of=self._num_rows,
            split=self.split,
            examples=tally.examples,
        )


def language_findings(by_split: dict[str, Counter[str]]) -> Iterator[Finding]:
    """What each split is written in, and whether one differs from the training rows."""
    filled = {split: counts for split, counts in by_split.items() if counts}
    for split, counts in filled.items():
        total = counts.total()
        shares = ", ".join(f"{name} {count / total:.1%}" for name, count in counts.most_common())
        message = f"languages: {shares}"
        yield make_finding("languages", message, count=total, out_of=total, split=split)
        if "train" in filled and split != "train":
            yield from _language_shift(split, counts, filled["train"])


def _language_shift(split: str, counts: Counter[str], train: Counter[str]) -> Iterator[Finding]:
    for name, count in counts.items():
        share, share_of_train = count / counts.total(), train[name] / train.total()
        if share - share_of_train > _SHIFT:
            yield make_finding(
                "language-shift",
                f"{name} makes {share:.0%} of {split}, but {share_of_train:.0%} of train",
                count=count,
                out_of=counts.total(),
                split=f"{split}, train",
            )


def _with_tokens(special_tokens: Iterable[str]) -> re.Pattern[str]:
    texts = [re.escape(token) for token in special_tokens]
    return re.compile("|".join([*texts, _CONTROL.pattern]))


def _first_found(pattern: re.Pattern[str], texts: Iterable[str]) -> str | None:
    """What is found, with what stands around it."""
    for text in texts:
        found = pattern.search(text)
        if found:
            return text[max(0, found.start() - 40) : found.end() + 40]
    return None


def _is_copied(row: Row) -> bool:
    answer = row.response.strip()
    return len(answer) >= _MIN_COPIED_CHARACTERS and answer in row.prompt


def _end_of(text: str) -> str:
    line = " ".join(text.split())
    return line if len(line) <= 60 else f"…{line[-60:]}"
