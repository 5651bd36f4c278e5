"""Every kind of finding: how grave it is, why it matters and what to do."""

from collections.abc import Iterable
from typing import NamedTuple

from bakeoff.schema.data_check import Example, Finding, Severity

NUM_EXAMPLES = 5
_EXAMPLE_CHARACTERS = 160


class Kind(NamedTuple):
    """What does not depend on the dataset."""

    severity: Severity
    why: str
    todo: str


_SCORE = "a question that was trained on is remembered, not solved: the score is too high"

KINDS: dict[str, Kind] = {
    "json": Kind(
        "error",
        "a row that is not JSON stops every framework, or is left out silently",
        "correct the rows; from Python write files with json.dumps(row, ensure_ascii=False)",
    ),
    "encoding": Kind(
        "error",
        "text in another encoding is refused, or trained on as garbage",
        "save the file as UTF-8 (in Notepad: Save as, Encoding: UTF-8; in Excel: CSV UTF-8)",
    ),
    "file": Kind(
        "error", "what cannot be read cannot be trained on", "correct or replace the file"
    ),
    "byte-order-mark": Kind(
        "warning",
        "bakeoff reads past the mark, but json.load and several frameworks refuse the file",
        "save the file as UTF-8 without BOM",
    ),
    "no-rows": Kind(
        "error",
        "a split without rows can be neither trained on nor scored",
        "name another file or split, or fill this one",
    ),
    "missing-column": Kind(
        "error",
        "a row without its question or answer stops the training before its first step",
        "correct the rows, or name the right columns (--set data.columns.prompt=NAME)",
    ),
    "wrong-type": Kind(
        "error",
        "only text can be trained on; a list or an object in its place is a mistake in the rows, "
        "or another column is meant",
        "correct the rows, or name the right columns (--set data.columns.prompt=NAME)",
    ),
    "empty": Kind(
        "error",
        "an empty answer teaches to say nothing; a row without a question asks nothing",
        "fill the rows in or take them out",
    ),
    "role-order": Kind(
        "error",
        "a model learns to answer a question; frameworks drop such rows, or learn the wrong turns",
        "join turns of the same speaker, add the missing answer, or take the rows out",
    ),
    "unknown-role": Kind(
        "error",
        "what nobody known says is neither asked nor learned; frameworks drop such rows",
        "correct the name, or say who it is (--set data.tags.user=NAME)",
    ),
    "structure": Kind(
        "error", "what cannot be read as a conversation cannot be trained on", "correct the rows"
    ),
    "template": Kind(
        "error",
        "a row that the template cannot render stops the training before its first step",
        "correct the rows or the template (`prompt.template`, `prompt.text`)",
    ),
    "too-long": Kind(
        "warning",
        "bakeoff never cuts an answer; a framework that cuts rows at their end would train on "
        "answers without it",
        "raise `train.max_length`, or shorten or leave out the rows",
    ),
    "duplicate": Kind(
        "warning",
        "a repeated row counts several times in training, and in a score",
        "take the repetitions out",
    ),
    "contradiction": Kind(
        "warning",
        "no model can give two answers to one question; in a test one of them counts as wrong",
        "keep the right answer",
    ),
    "near-duplicate": Kind(
        "info",
        "a random split would put one of the two into training and the other into the test",
        "split with `bakeoff data split --near-duplicates`, which keeps them together",
    ),
    "contamination-exact": Kind(
        "error",
        _SCORE,
        "take the questions out of one side, or split anew with `bakeoff data split`",
    ),
    "contamination-normalised": Kind(
        "error",
        f"they differ only in case, white space or width; {_SCORE}",
        "take the questions out of one side, or split anew with `bakeoff data split`",
    ),
    "contamination-near": Kind(
        "warning",
        "with other names or numbers it is another question, with other spelling the same one; "
        "a score on them tells less than on new questions",
        "look at the pairs; `bakeoff data split --near-duplicates` keeps such rows on one side",
    ),
    "contamination-ngram": Kind(
        "warning",
        "a long run of words in common is how leaked questions are usually found; it may also be "
        "a usual turn of phrase",
        "look at the pairs, most alike first, and take out what is the same question",
    ),
    "answer-pattern": Kind(
        "warning",
        "the strict score reads the number after `####`; a model that learns answers without it "
        "cannot be scored so",
        "end every answer in a line `#### N`",
    ),
    "unfinished-answer": Kind(
        "warning",
        "an answer that was cut off teaches to stop in the middle of a sentence",
        "complete the answers or take the rows out",
    ),
    "no-end-token": Kind(
        "error",
        "without an end-of-sequence token a model never learns where an answer ends",
        "add `eos_token` to the model's tokenizer_config.json",
    ),
    "control-token": Kind(
        "warning",
        "such text becomes a control token: the model learns to stop, or to speak as somebody "
        "else, in the middle of an answer",
        "take chat markers out of the texts; the trainer adds what is needed",
    ),
    "garbled-text": Kind(
        "warning",
        "text was lost when a file was read in a wrong encoding; the model learns the garbage",
        "make the file anew from its source",
    ),
    "literal-line-break": Kind(
        "info",
        r"the two characters \n stand where a line break was probably meant",
        "write the file with json.dumps once, not twice",
    ),
    "answer-in-question": Kind(
        "warning",
        "the model learns to copy, and the score shows nothing else",
        "check which columns hold the question and the answer",
    ),
    "languages": Kind("info", "what the rows are written in", "nothing, if that is as intended"),
    "language-shift": Kind(
        "warning",
        "what is learned in one language is only partly shown in another",
        "check that the files are those that were meant",
    ),
    "lengths": Kind(
        "info",
        "the longest rows decide how much memory a training needs",
        "set `train.max_length` a little above the longest row that matters",
    ),
    "columns": Kind(
        "info",
        "columns that are not used do not reach the model",
        "name others with --set data.columns.prompt=NAME, or the shape with --set data.format=NAME",
    ),
}

_ORDER: dict[Severity, int] = {"error": 0, "warning": 1, "info": 2}


def make_finding(  # noqa: PLR0913 - the parts of one document
    code: str,
    message: str,
    *,
    count: int,
    out_of: int | None = None,
    split: str | None = None,
    examples: Iterable[Example] = (),
    severity: Severity | None = None,
) -> Finding:
    """A finding of a known kind; ``severity`` replaces the kind's own."""
    kind = KINDS[code]
    return Finding(
        code=code,
        severity=severity or kind.severity,
        split=split,
        message=message,
        count=count,
        out_of=out_of,
        examples=tuple(examples)[:NUM_EXAMPLES],
        why=kind.why,
        todo=kind.todo,
    )


def worst_first(findings: Iterable[Finding]) -> tuple[Finding, ...]:
    """Errors, then warnings, then what is only good to know; each in the order of discovery."""
    return tuple(sorted(findings, key=lambda finding: _ORDER[finding.severity]))


def excerpt(text: str, num_characters: int = _EXAMPLE_CHARACTERS) -> str:
    """One line, cut to what a person takes in."""
    line = " ".join(text.split())
    return line if len(line) <= num_characters else line[: num_characters - 3] + "..."
