"""Answers token by token: those of transformers, of both models from one set of weights."""

import json

import pytest
import torch
from peft import PeftModel
from tests.trained import RAW, make_adapter, make_saying
from transformers import AutoModelForCausalLM

from bakeoff.worker import talk
from bakeoff.worker.failures import JobError
from bakeoff.worker.talking import Answer, Asker

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")
QUESTION = "Tom has 3 apples and buys 4 more. How many apples has he now?"
CHAT = (
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def _job(model_dir, artefact=None, **changes):
    return {
        "model_dir": str(model_dir), "artefact_dir": artefact and str(artefact), "device": "cpu",
        "precision": "fp32", "trust_remote_code": False, "prompt": RAW, "stops": [], **changes,
    }  # fmt: skip


def _load(model_dir):
    return AutoModelForCausalLM.from_pretrained(model_dir).eval()


def _whole(answer):
    pieces = []
    while answer.reason is None:
        answer.go_on()
        pieces.append(answer.more())
    assert "".join(pieces) == answer.text
    return answer


def _generated(model, ids, number):
    made = model.generate(
        input_ids=torch.tensor([ids]), attention_mask=torch.ones(1, len(ids)),
        max_new_tokens=number, do_sample=False,
    )  # fmt: skip
    return made[0, len(ids) :].tolist()


def _asked(sides, asker, tmp_path, **changes):
    question = {
        "question": QUESTION, "max_new_tokens": 12, "temperature": 0.0, "seed": 0, "earlier": [],
    } | changes  # fmt: skip
    path = tmp_path / "said.jsonl"
    with path.open("w", encoding="utf-8") as said:
        talk._ask(sides, asker, question, said, stop=tmp_path / "stop")
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def _text(told, side):
    return "".join(one.get("more", "") for one in told if one.get("side") == side)


@pytest.mark.parametrize("penalty", [1.0, 1.3])
def test_an_answer_is_the_one_that_transformers_generates(tiny_model, penalty):
    model, asker = _load(tiny_model), Asker(_job(tiny_model))
    model.generation_config.repetition_penalty = penalty
    ids = asker.ids(QUESTION)
    answer = _whole(Answer(model, asker, ids, max_new_tokens=20))
    assert answer.token_ids == _generated(model, ids, 20)
    assert answer.reason == ("end_token" if answer.token_ids[-1] == 0 else "limit")


@pytest.mark.parametrize("options", [{}, {"bias": "lora_only"}], ids=["shared", "apart"])
def test_both_models_answer_in_turn_as_each_would_alone(tiny_model, tmp_path, options):
    job = _job(tiny_model, make_adapter(tiny_model, tmp_path / "adapter", **options))
    sides, asker = talk._load(job), Asker(job)
    assert (sides[0].model is sides[1].model) == (not options)
    told = _asked(sides, asker, tmp_path)
    ids = asker.ids(QUESTION)
    base = _load(tiny_model)
    alone = {"base": _generated(base, ids, 12)}
    alone["tuned"] = _generated(PeftModel.from_pretrained(base, job["artefact_dir"]), ids, 12)
    assert alone["base"] != alone["tuned"]
    for side, tokens in alone.items():
        assert _text(told, side) == asker.tokenizer.decode(tokens)
        last = [one for one in told if one.get("side") == side][-1]
        assert (last["reason"], last["num_tokens"]) == ("limit", 12)
        assert last["tokens_per_second"] > 0
    assert told[0] == {"side": "base", "asked": f"Question: {QUESTION}\nAnswer:"}
    assert told[-1] == {"done": True}


def test_a_full_fine_tuning_answers_with_its_own_weights(tiny_model, tmp_path):
    job = _job(tiny_model, make_saying(tiny_model, tmp_path / "whole", "没有"))
    asker = Asker({**job, "model_dir": job["artefact_dir"]})
    told = _asked(talk._load(job), asker, tmp_path)
    assert _text(told, "tuned") == "没有"
    assert _text(told, "base") != "没有"


def test_an_answer_ends_where_its_text_has_a_stop_and_shows_nothing_of_it(tiny_model, tmp_path):
    folder = make_saying(tiny_model, tmp_path / "says", "four.\nQuestion: and")
    job = _job(folder, stops=["Question:"])
    model, asker = _load(folder), Asker(job)
    answer = _whole(Answer(model, asker, asker.ids(QUESTION), max_new_tokens=9))
    assert (answer.text, answer.reason) == ("four.\n", "stop_string")


def test_half_a_character_and_half_a_stop_wait(tiny_model):
    asker = Asker(_job(tiny_model, stops=["Question:"]))
    answer = Answer(_load(tiny_model), asker, asker.ids("?"), max_new_tokens=9)
    whole = asker.tokenizer("好的 Quest")["input_ids"]
    shown = []
    for length in range(1, len(whole) + 1):
        answer.token_ids = whole[:length]
        shown.append(answer.more())
    assert "".join(shown) == "好的 "
    answer.reason = "limit"
    assert answer.more() == "Quest"


def test_a_chat_goes_on_with_what_each_said_before(tiny_model):
    prompt = {"template": CHAT, "text": "Solve: {{prompt}}", "system": "Short."}
    asker = Asker(_job(tiny_model, prompt=prompt))
    ids = asker.ids("b", [("a", "1")])
    told = "<system>Short.<user>Solve: a<assistant>1<user>Solve: b<assistant>"
    assert asker.tokenizer.decode(ids) == told


def test_drawn_answers_repeat_with_their_seed_and_differ_with_another(tiny_model, tmp_path):
    job = _job(tiny_model, make_adapter(tiny_model, tmp_path / "adapter"))
    sides, asker = talk._load(job), Asker(job)
    first, again, other = (
        _text(_asked(sides, asker, tmp_path, temperature=2.0, seed=seed), "tuned")
        for seed in (1, 1, 2)
    )
    assert first == again != other


def test_a_stop_ends_both_and_a_question_that_is_too_long_is_told(tiny_model, tmp_path):
    job = _job(tiny_model, make_adapter(tiny_model, tmp_path / "adapter"))
    sides, asker = talk._load(job), Asker(job)
    told = _asked(sides, asker, tmp_path, question="why " * 600)
    assert "the model reads at most 512" in told[-2]["error"]
    (tmp_path / "stop").touch()
    told = _asked(sides, asker, tmp_path)
    assert [one["reason"] for one in told if "reason" in one] == ["stopped", "stopped"]


def test_models_that_do_not_fit_are_refused_before_they_are_loaded(
    tiny_model, tmp_path, monkeypatch
):
    needed = sum(p.numel() for p in _load(tiny_model).parameters()) * 4
    adapter = make_adapter(tiny_model, tmp_path / "adapter")
    monkeypatch.setattr(talk, "free_bytes", lambda device: int(needed * 1.5))
    talk._require_memory(_job(tiny_model, adapter))
    with pytest.raises(JobError, match="free in memory"):
        talk._require_memory(_job(tiny_model, tiny_model))
