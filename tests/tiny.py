"""A real model that is small enough for a test: random weights, real classes, a real tokenizer."""

from pathlib import Path

QUESTIONS = [
    "Tom has {a} apples and buys {b} more. How many apples has he now?",
    "小明有{a}个苹果，又买了{b}个。他现在有几个苹果？",
]
ANSWER = "{a} + {b} = {c}\n#### {c}"


def rows(number: int, *, start: int = 0) -> list[dict[str, str]]:
    """Distinct questions in GSM8K's form, half of them Chinese."""
    made = []
    for index in range(start, start + number):
        values = {"a": index, "b": index + 1, "c": 2 * index + 1}
        question = QUESTIONS[index % 2].format(**values)
        made.append({"question": question, "answer": ANSWER.format(**values)})
    return made


def make_tiny_model(folder: Path) -> Path:
    """A two-layer Llama over a byte-level vocabulary, saved as any checkpoint."""
    from bakeoff.worker.trial import make_tiny_model

    texts = [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in rows(60)]
    return make_tiny_model(folder, texts)
