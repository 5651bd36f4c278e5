"""A chat template for Ollama: Go's text/template, of which only the simplest forms are used."""

import re

import jinja2
import pytest

from bakeoff.worker.go_template import NotTurnsError, find_pieces

CHATML = (
    "{% for m in messages %}{% if loop.first and m['role'] != 'system' %}<s>system\nDefault.<e>\n"
    "{% endif %}<s>{{ m['role'] }}\n{{ m['content'] }}<e>\n{% endfor %}<s>assistant\n"
)
LLAMA3 = (
    "{% for m in messages %}<h>{{ m.role }}</h>\n\n{{ m.content }}<eot>{% endfor %}"
    "<h>assistant</h>\n\n"
)
NO_SYSTEM = (
    "{% if messages[0].role == 'system' %}{{ raise_exception('no') }}{% endif %}"
    "{% for m in messages %}{% if m.role == 'user' %}[INST] {{ m.content }} [/INST]"
    "{% else %} {{ m.content }}</s>{% endif %}{% endfor %}"
)
RAW = (
    "{%- set asked = messages | selectattr('role', 'equalto', 'user') | list -%}"
    "Question: {{ asked[-1].content }}\nAnswer:"
)
BRACES = "{% for m in messages %}{{ '{{' }}{{ m.role }}:{{ m.content }}}}{% endfor %}{{ '{{' }}a:"
TEMPLATES = {
    "chatml": CHATML,
    "llama3": LLAMA3,
    "no-system": NO_SYSTEM,
    "raw": RAW,
    "braces": BRACES,
}
TURNS = [
    ("user", "小明有3个苹果。\n几个？"),
    ("assistant", "3"),
    ("user", "{{ prompt }} <b>?"),
    ("assistant", " 4 "),
    ("user", "q"),
]


def _render(template):
    def refuse(message):
        raise jinja2.TemplateError(message)

    made = jinja2.Environment(autoescape=False, keep_trailing_newline=True).from_string(template)
    return lambda turns: made.render(messages=turns, raise_exception=refuse)


FORMS = {
    "range $i, $_ := .Messages": "{% for m in messages %}",
    "if .System": "{% if system %}",
    'if eq .Role "user"': "{% if m.role == 'user' %}",
    'else if eq .Role "assistant"': "{% elif m.role == 'assistant' %}",
    "if eq (len (slice $.Messages $i)) 1": "{% if loop.last %}",
    "else": "{% else %}",
    ".System": "{{ system }}",
    ".Content": "{{ m.content }}",
    '"{{"': "{{ braces }}",
}
"""All that is ever written, and what it means: a form that is not here fails the test. Go's own
engine rendered these cases once; it is not among the packages of the tests."""


def _render_go(template, turns):
    text, opened, made = [], [], []
    for part in re.split(r"(\{\{ .*? \}\})", template):
        if not part.startswith("{{ "):
            made.append(f"{{{{ text[{len(text)}] }}}}")
            text.append(part)
            continue
        action = part[3:-3]
        if action.startswith(("range", "if")):
            opened.append("for" if action.startswith("range") else "if")
        made.append(f"{{% end{opened.pop()} %}}" if action == "end" else FORMS[action])
    system = next((t["content"] for t in turns if t["role"] == "system"), "")
    jinja = jinja2.Environment(autoescape=False).from_string("".join(made))
    return jinja.render(text=text, messages=turns, system=system, braces="{{")


def conversations(*, with_system):
    turns = [{"role": role, "content": content} for role, content in TURNS]
    for length in (1, 3, 5):
        yield turns[:length]
        if with_system:
            yield [{"role": "system", "content": "Be\nbrief."}, *turns[:length]]


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_go_template_writes_what_the_chat_template_writes(name):
    render = _render(TEMPLATES[name])
    pieces = find_pieces(render)
    for turns in conversations(with_system=name != "no-system"):
        assert _render_go(pieces.go(), turns) == render(turns)
        assert pieces.conversation(turns) == render(turns)


def test_a_model_of_plain_text_is_asked_its_last_question_alone():
    assert find_pieces(_render(RAW)).go() == (
        "{{ range $i, $_ := .Messages }}{{ if eq (len (slice $.Messages $i)) 1 }}"
        "Question: {{ .Content }}\nAnswer:{{ end }}{{ end }}"
    )


@pytest.mark.parametrize(
    "template",
    [
        CHATML.replace("<s>assistant\n", "<s>assistant {{ messages | length }}\n"),
        NO_SYSTEM.replace(" {{ m.content }}</s>", " {{ m.content | upper }}</s>"),
        "{% for m in messages %}{{ m.content }} {{ m.content }}\n{% endfor %}",
    ],
    ids=["counts", "changes answers", "repeats"],
)
def test_a_template_that_does_more_than_join_turns_is_refused(template):
    with pytest.raises(NotTurnsError):
        find_pieces(_render(template))
