"""What `bakeoff serve` puts in front of a server: the training's own question, the key."""

import asyncio

import pytest
from transformers import AutoTokenizer

from bakeoff.worker.asked_template import asked_template, end_ids
from bakeoff.worker.serve import Guard

CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)
RAW = {"template": "raw", "text": "Q: {{prompt}}\nA:", "system": None}


@pytest.fixture
def tokenizer(tiny_model):
    return AutoTokenizer.from_pretrained(tiny_model)


def _asked(tokenizer, prompt, *turns):
    tokenizer.chat_template = asked_template(prompt, tokenizer)
    roles = ["user", "assistant"] * 3
    messages = [{"role": r, "content": t} for r, t in zip(roles, turns, strict=False)]
    return tokenizer.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)


def test_a_model_of_plain_text_is_asked_its_last_question_alone(tokenizer):
    tokenizer.chat_template = CHAT
    assert _asked(tokenizer, RAW, "one & <two>") == "Q: one & <two>\nA:"
    assert _asked(tokenizer, RAW, "one", "1", "再问") == "Q: 再问\nA:"


def test_plain_text_becomes_the_tokens_of_training(tokenizer):
    tokenizer.chat_template = asked_template(RAW, tokenizer)
    turns = [{"role": "user", "content": "one"}]
    asked = tokenizer.apply_chat_template(turns, add_generation_prompt=True, return_dict=True)
    assert asked["input_ids"] == tokenizer("Q: one\nA:")["input_ids"]


def test_a_chat_gets_the_words_and_the_system_message_of_training(tokenizer):
    tokenizer.chat_template = CHAT
    prompt = {"template": "chat", "text": "Solve: {{prompt}}", "system": "It's\nshort"}
    told = "<system>It's\nshort</s><user>Solve: 1</s><assistant>2</s><user>Solve: 3</s><assistant>"
    assert _asked(tokenizer, prompt, "1", "2", "3") == told


def test_a_model_of_which_nothing_is_known_keeps_its_template(tokenizer):
    tokenizer.chat_template = CHAT
    assert asked_template(None, tokenizer) == CHAT
    assert tokenizer.eos_token_id in end_ids(tokenizer)
    tokenizer.chat_template = None
    assert asked_template(None, tokenizer) is None
    assert asked_template({**RAW, "template": "chat"}, tokenizer) is None


@pytest.mark.parametrize(
    ("key", "is_open", "path", "host", "told", "expected"),
    [
        ("k", False, "/v1/models", b"127.0.0.1:1", b"Bearer k", 200),
        ("k", False, "/v1/models", b"localhost", b"Bearer x", 401),
        ("k", False, "/v1/models", b"[::1]:8", b"", 401),
        ("k", True, "/v1/models", b"any.example:1", b"Bearer k", 200),
        ("k", True, "/health", b"any.example:1", b"", 200),
        (None, False, "/v1/models", b"evil.example:1", b"", 421),
        (None, False, "/v1/models", b"[::1]:8", b"", 200),
    ],
)
def test_the_guard(key, is_open, path, host, told, expected):
    seen = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message):
        seen.append(message.get("status"))

    scope = {"type": "http", "path": path, "headers": [(b"host", host), (b"authorization", told)]}
    asyncio.run(Guard(app, key=key, is_open=is_open)(scope, None, send))
    assert seen[0] == expected
