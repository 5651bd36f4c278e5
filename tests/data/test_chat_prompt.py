"""In a chat, what is learned, what is read and what is asked are parts of one rendered text."""

import pytest
from tests.data.test_chat_template import CHATML, GENERATION, INST, SPECIAL

from bakeoff.base.errors import UserError
from bakeoff.data.prompt import make_renderer
from bakeoff.data.rows import Row
from bakeoff.schema.chat_template import ChatTemplate
from bakeoff.schema.recipe_subject import PromptSpec
from bakeoff.schema.sample import Message

ONE = Row("1 + 1?", "2")
TWO = Row(
    "2 + 2?",
    "4",
    (
        Message("system", "Be brief.", loss=False),
        Message("user", "1 + 1?", loss=False),
        Message("assistant", "2", loss=True),
        Message("user", "2 + 2?", loss=False),
        Message("assistant", "4", loss=True),
    ),
)


def chat(template=CHATML, *, eos="<|im_end|>", **spec):
    specials = {**SPECIAL, "eos_token": eos}
    return make_renderer(
        PromptSpec(template="chat", **spec), ChatTemplate(text=template, special_tokens=specials)
    )


def parts(renderer, row):
    return [(part["text"], part["loss"]) for part in renderer.render(row).segments]


def test_the_answer_is_learned_and_all_before_it_is_read():
    assert parts(chat(), ONE) == [
        (
            "<|im_start|>system\nYou are a helpful assistant.<|im_end|>\n"
            "<|im_start|>user\n1 + 1?<|im_end|>\n<|im_start|>assistant\n",
            False,
        ),
        ("2", True),  # the trainer ends every row with the end-of-sequence token
    ]


def test_a_mark_that_ends_turns_is_learned_where_it_is_not_the_end_of_sequence():
    assert parts(chat(eos="<|endoftext|>"), ONE)[-1] == ("2<|im_end|>", True)


def test_each_answer_of_several_turns_is_learned_with_the_mark_that_ends_it():
    assert parts(chat(), TWO) == [
        (
            "<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n1 + 1?<|im_end|>\n"
            "<|im_start|>assistant\n",
            False,
        ),
        ("2<|im_end|>", True),
        ("\n<|im_start|>user\n2 + 2?<|im_end|>\n<|im_start|>assistant\n", False),
        ("4", True),
    ]


def test_an_answer_that_is_not_to_be_learned_is_read():
    first = TWO.messages[2]._replace(loss=False)
    row = TWO._replace(messages=(*TWO.messages[:2], first, *TWO.messages[3:]))
    assert [loss for _, loss in parts(chat(), row)] == [False, True]


@pytest.mark.parametrize("template", [CHATML, GENERATION])
@pytest.mark.parametrize("row", [ONE, TWO])
def test_what_is_asked_is_what_stood_before_the_learned_answer(template, row):
    renderer = chat(template)
    texts = [text for text, _ in parts(renderer, row)]
    assert renderer.render(row).asked == "".join(texts[:-1])


def test_the_system_message_of_the_recipe_stands_in_rows_that_bring_none():
    renderer = chat(system="Think.")
    assert renderer.render(ONE).asked.startswith("<|im_start|>system\nThink.<|im_end|>")
    assert renderer.render(TWO).asked.startswith("<|im_start|>system\nBe brief.<|im_end|>")


def test_the_text_of_the_recipe_is_what_the_user_says():
    assert "<|im_start|>user\nQ: 1 + 1?<|im_end|>" in chat(text="Q: {{prompt}}").render(ONE).asked


def test_a_template_of_the_recipe_goes_before_that_of_the_model():
    spec = PromptSpec(template=INST)
    renderer = make_renderer(spec, ChatTemplate(text=CHATML, special_tokens=SPECIAL))
    assert parts(renderer, ONE) == [("<s>[INST] 1 + 1? [/INST]", False), (" 2", True)]


def test_a_template_that_takes_thoughts_out_of_earlier_answers_is_refused_for_several_turns():
    forgets = (
        "{% for m in messages %}<{{ m.role }}>"
        "{{ m.content if loop.last or m.role == 'user' else 'x' }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}"
    )
    assert parts(chat(forgets), ONE)[-1] == ("2", True)
    with pytest.raises(UserError, match="turn 5: the chat template writes what stands before it"):
        chat(forgets).render(TWO)


def test_plain_text_stands_as_it_is():
    assert parts(chat(), Row("", "All of it.")) == [("All of it.", True)]


def test_the_digest_tells_templates_special_tokens_and_system_messages_apart():
    made = [chat(), chat(INST), chat(eos="</s>"), chat(system="x"), chat(text="Q: {{prompt}}")]
    assert len({renderer.digest for renderer in made}) == len(made)


@pytest.mark.parametrize("role", ["user", "assistant"])
def test_a_template_that_leaves_words_out_is_refused(role):
    misspelt = (
        "{% for m in messages %}{{ m.role }}: "
        f"{{{{ m.contnt if m.role == '{role}' else m.content }}}}{{{{ eos_token }}}}"
        "{% endfor %}"
    )
    with pytest.raises(UserError, match=f"writes nothing of what the {role} says"):
        chat(misspelt)
