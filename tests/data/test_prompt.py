"""The text that is trained on is the text that the harness asks."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from lm_eval.utils import apply_template

from bakeoff.base.errors import UserError
from bakeoff.data.prompt import RawPrompt
from bakeoff.data.question import QuestionTemplate
from bakeoff.schema.recipe_subject import PromptSpec

TEMPLATES = [
    PromptSpec().text,
    "{{prompt}}\n",
    "<b>{{ prompt | trim }}</b>\n\n",
    "{% if prompt|length > 3 %}\n  {{prompt}}\n{% endif %}Answer: ",
    "{{ prompt | regex_replace('\\\\d', '#') }}",
    "问：{{prompt}}\n答：",
    "{# no part of it #}{% raw %}{{x}}{% endraw %} {{ prompt -}}  \n{{prompt}}\n",
]


@pytest.mark.parametrize("template", TEMPLATES)
@given(prompt=st.text(min_size=1).filter(str.strip))
def test_every_prompt_renders_byte_for_byte_as_the_harness_renders_it(template, prompt):
    rendered = QuestionTemplate(template).render(f"x{prompt}")
    assert rendered == apply_template(template, {"prompt": f"x{prompt}"})


def test_what_a_question_holds_is_never_taken_for_a_template():
    assert QuestionTemplate(PromptSpec().text).render("{{ 1 + 1 }} {% x") == (
        "Question: {{ 1 + 1 }} {% x\nAnswer:"
    )


WRONG = {
    "not closed": ("Q: {{prompt}\nA:", "`prompt.text`, line 1: not a valid Jinja template"),
    "unknown filter": ("{{prompt | upcase}}", "not a valid Jinja template: No filter named"),
    "the answer": ("{{prompt}} {{response}}", "cannot be rendered: 'response' is undefined"),
    "arithmetic": ("{{prompt + 1}}", "cannot be rendered: can only concatenate str"),
    "unsafe": ("{{prompt.__class__.__mro__}}", "cannot be rendered: access to attribute"),
    "nothing": ("{{prompt[:0]}}", "renders to nothing"),
}


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_template_is_refused_by_its_key(kind):
    text, cause = WRONG[kind]
    with pytest.raises(UserError) as raised:
        QuestionTemplate(text).render("1 + 1?")
    assert "`prompt.text`" in str(raised.value)
    assert cause in str(raised.value)
    assert "{{prompt}}" in raised.value.hint


def test_the_digest_tells_templates_and_separators_apart():
    specs = [PromptSpec(), PromptSpec(text="{{prompt}}"), PromptSpec(separator="\n")]
    assert len({RawPrompt(spec).digest for spec in specs}) == 3


def test_a_row_on_which_the_template_fails_is_named(prepare, write):
    write("rows/train.jsonl", [{"question": "1?", "answer": "1"}, {"question": "x", "answer": "1"}])
    write("rows/test.jsonl", [{"question": "3?", "answer": "1"}])
    with pytest.raises(UserError, match=r"train\.jsonl, line 2: `prompt\.text` renders to nothing"):
        prepare(prompt=PromptSpec(text="{{ prompt | replace('x', '') }}"))
