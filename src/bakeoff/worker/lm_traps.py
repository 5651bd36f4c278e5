"""What makes a score mean something else than its reader thinks: each is told, none is silent."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

WORRYING_SHARE_AT_LIMIT = 0.1
_WORRYING_SHARE_WITHOUT_ANSWER = 0.5
_WORRYING_SHARE_NEVER_ENDED = 0.5
_CHAT_MODEL = re.compile(r"(?i)(^|[-_/.])(instruct|chat|it|sft|dpo|rlhf)([-_/.]|$)")
_SHOWN_CHARACTERS = 40


def of_model(tokenizer: Any, job: dict[str, Any]) -> Iterator[str]:
    """About the tokenizer, and the way in which this model is asked."""
    if job["artefact_dir"] is not None:
        yield from _other_tokenizer(tokenizer, Path(job["artefact_dir"]))
    yield from _other_form(tokenizer, job)


def _other_form(tokenizer: Any, job: dict[str, Any]) -> Iterator[str]:
    """A chat model asked in plain text, a plain one in a chat, or another form than in training."""
    asked = "raw" if job["prompt_template"] == "raw" else "chat"
    trained = job["trained_prompt"]
    if trained is not None:
        learned = "raw" if trained["template"] == "raw" else "chat"
        if learned != asked:
            yield (
                f"The model was trained on {_form(learned)} and is asked in {_form(asked)}: a low "
                "score may only show that it never saw this form."
            )
        return
    named = "/".join(Path(job["model_dir"]).parts[-2:])
    is_chat = _CHAT_MODEL.search(named) is not None and tokenizer.chat_template is not None
    if asked == "raw" and is_chat:
        yield (
            "This looks like a chat model, and it is asked in plain text. `evaluate.ask: [raw, "
            "chat]` (`--ask raw,chat`) asks both ways."
        )
    if asked == "chat" and not is_chat and job["artefact_dir"] is None:
        yield (
            "This looks like a model that was not trained to chat, and it is asked by a chat "
            "template. `evaluate.ask: [raw, chat]` (`--ask raw,chat`) asks both ways."
        )


def _form(name: str) -> str:
    return "plain text" if name == "raw" else "a chat"


def _other_tokenizer(tokenizer: Any, artefact_dir: Path) -> Iterator[str]:
    """Questions are read by the base model's tokenizer, whatever a trainer saved beside its own."""
    if not (artefact_dir / "tokenizer_config.json").is_file():
        return
    from transformers import AutoTokenizer

    try:
        saved = AutoTokenizer.from_pretrained(str(artefact_dir), local_files_only=True)
    except (OSError, ValueError):
        return
    differing = [
        name
        for name, ours, theirs in (
            ("vocabulary", tokenizer.get_vocab(), saved.get_vocab()),
            ("end-of-sequence token", tokenizer.eos_token, saved.eos_token),
            ("beginning-of-sequence token", tokenizer.bos_token, saved.bos_token),
        )
        if ours != theirs
    ]
    if differing:
        yield (
            f"The tokenizer saved with the trained model differs from the base model's in its "
            f"{', '.join(differing)}. The base model's is used here."
        )


def of_prompts(prompts: Iterable[str], job: dict[str, Any]) -> Iterator[str]:
    """A prompt in plain text that begins or ends otherwise than those of the training."""
    trained = job["trained_prompt"]
    if trained is None or trained["template"] != "raw" or job["prompt_template"] != "raw":
        return
    ending = re.split(r"\{\{.*?\}\}", trained["text"])[-1]
    asked = next(iter(prompts), None)
    if asked is not None and not asked.endswith(ending):
        yield (
            f"The model was trained on questions that end in {_shown(ending)}; the questions of "
            f"this task end in {_shown(asked[-max(len(ending), 8) :])}: it was not trained to "
            "answer in this place."
        )


def _shown(text: str) -> str:
    return json.dumps(text[-_SHOWN_CHARACTERS:], ensure_ascii=False)


def of_training_rows(tasks: Iterable[Any], train_file: Path) -> Iterator[str]:
    """Questions of a task that stand, but for case and white space, among the training rows."""
    learned = set()
    with train_file.open(encoding="utf-8") as file:
        for line in file:
            learned.add(_plain(json.loads(line)["prompt"]))
    learned.discard("")
    for task in tasks:
        docs = list(task.eval_docs)
        found = sum(any(_plain(text) in learned for text in _texts(doc)) for doc in docs)
        if found:
            yield (
                f"{found} of {len(docs)} questions of `{task.config.task}` stand in the training "
                "rows: the model may know their answers by heart. `bakeoff data check` finds near "
                "copies as well."
            )


def _texts(doc: dict[str, Any]) -> Iterator[str]:
    return (value for value in doc.values() if isinstance(value, str))


def _plain(text: str) -> str:
    return " ".join(text.split()).casefold()


def of_answers(effective: dict[str, Any], *, trained: bool, pad_is_eos: bool) -> Iterator[str]:
    """How the answers ended, and how many the filters found nothing in."""
    at_limit, never = effective["share_at_token_limit"], effective["share_never_stopped"]
    if at_limit is not None and at_limit > WORRYING_SHARE_AT_LIMIT:
        yield (
            f"{at_limit:.0%} of the answers were cut at {effective['max_new_tokens']} tokens, so "
            "that a right answer may be missing. Raise `evaluate.max_new_tokens`."
        )
    if trained and never is not None and never > _WORRYING_SHARE_NEVER_ENDED:
        yield f"{never:.0%} of the answers of the trained model never ended by themselves." + (
            " Its padding token is its end-of-sequence token: a trainer that leaves padding out of "
            "the loss leaves out the end as well, and the model never learns to stop."
            if pad_is_eos
            else " Was the end-of-sequence token part of the training rows?"
        )
    for name, share in effective["share_without_answer"].items():
        if share > _WORRYING_SHARE_WITHOUT_ANSWER:
            yield (
                f"The filter `{name}` found no answer in {share:.0%} of the outputs: its score "
                "says more about the form of the answers than about their content."
            )
