"""A conversation in a chat template is the text that transformers makes of it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import PreTrainedTokenizerFast

from bakeoff.base.errors import UserError
from bakeoff.data.chat_template import ChatRenderer
from bakeoff.schema.chat_template import ChatTemplate

SPECIAL = {"bos_token": "<s>", "eos_token": "</s>", "pad_token": "<pad>"}

CHATML = """\
{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\\n' + messages[0]['content'] + '<|im_end|>\\n' }}
{%- else %}
    {{- '<|im_start|>system\\nYou are a helpful assistant.<|im_end|>\\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "assistant") %}
        {{- '<|im_start|>' + message.role + '\\n' + message.content + '<|im_end|>' + '\\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\\n' }}
{%- endif %}
"""
INST = (
    "{{ bos_token }}{% for message in messages %}{% if message['role'] == 'user' %}"
    "{{ '[INST] ' + message['content'] | trim + ' [/INST]' }}"
    "{% elif message['role'] == 'assistant' %}{{ ' ' + message['content'] + eos_token }}"
    "{% else %}{{ raise_exception('Only user and assistant roles are supported!') }}"
    "{% endif %}{% endfor %}"
)
GENERATION = """\
{% for message in messages %}
    {% if message.role == 'assistant' %}
        <assistant>{% generation %}{{ message.content }}{{ eos_token }}{% endgeneration %}
    {% else %}
        <{{ message.role }}>{{ message | tojson }}
    {% endif %}
{% endfor %}
{% if add_generation_prompt %}        <assistant>{% endif %}
"""
CONTROLS = """\
{% set ns = namespace(n=0) %}
{% for message in messages %}
{% if message.role == 'system' %}{% continue %}{% endif %}
{% set ns.n = ns.n + 1 %}
{{ ns.n }} {{ message.content }}{{ eos_token if message.role == 'assistant' else '' }}
{% if tools is defined and tools is not none %}{% break %}{% endif %}
{% endfor %}"""
TEMPLATES = {
    "chatml": CHATML,
    "inst": INST,
    "generation": GENERATION,
    "controls": CONTROLS,
}


@pytest.fixture(scope="module")
def tokenizer(tiny_model):
    return PreTrainedTokenizerFast(tokenizer_file=str(tiny_model / "tokenizer.json"), **SPECIAL)


def renderer(text):
    return ChatRenderer(ChatTemplate(text=text, special_tokens=SPECIAL))


words = st.text(min_size=1, max_size=12).filter(str.strip)


@pytest.mark.parametrize("name", TEMPLATES)
@given(questions=st.lists(st.tuples(words, words), min_size=1, max_size=3), ask=st.booleans())
def test_every_conversation_is_rendered_as_transformers_renders_it(name, tokenizer, questions, ask):
    turns = [
        {"role": role, "content": text}
        for pair in questions
        for role, text in zip(("user", "assistant"), pair, strict=True)
    ]
    turns = turns[:-1] if ask else turns
    expected = tokenizer.apply_chat_template(
        turns, chat_template=TEMPLATES[name], tokenize=False, add_generation_prompt=ask
    )
    assert renderer(TEMPLATES[name]).render(turns, ask=ask) == expected


def test_a_template_that_asks_for_the_date_gets_the_same_one_every_day():
    dated = "{{ strftime_now('%d %b %Y') }}{{ messages[0].content }}"
    turns = [{"role": "user", "content": "!"}]
    assert renderer(dated).render(turns, ask=True) == "26 Jul 2024!"


def test_what_a_message_holds_is_never_taken_for_a_template():
    turns = [{"role": "user", "content": "{{ 7 * 7 }}{% raw %}"}]
    assert "{{ 7 * 7 }}{% raw %}" in renderer(CHATML).render(turns, ask=True)


def test_a_conversation_that_the_template_refuses_is_refused_in_its_words():
    turns = [{"role": "system", "content": "x"}, {"role": "user", "content": "y"}]
    with pytest.raises(UserError, match="Only user and assistant roles are supported"):
        renderer(INST).render(turns, ask=True)


WRONG = {
    "none": (None, "comes without a chat template"),
    "not closed": ("{% for message in messages %}", "line 1: not valid Jinja"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_missing_or_broken_template_is_refused_by_its_key(kind):
    text, cause = WRONG[kind]
    with pytest.raises(UserError, match=cause) as raised:
        renderer(text)
    assert "prompt.template" in str(raised.value)


def test_a_template_cannot_reach_into_python():
    turns = [{"role": "user", "content": "x"}]
    with pytest.raises(UserError, match="fails on this conversation"):
        renderer("{{ messages.__class__.__mro__ }}{{ messages.append(1) }}").render(turns, ask=True)
