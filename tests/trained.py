"""What a training leaves to talk with: real checkpoints and adapters of a tiny model."""

from pathlib import Path
from typing import Any

from tests.dashboard.planned import planned_study

from bakeoff.base.files import write_json_atomic, write_jsonl
from bakeoff.schema.plan import TrainPlan
from bakeoff.store.runs import Store

RAW = {"template": "raw", "text": "Question: {{prompt}}\nAnswer:", "system": None}


def make_saying(tiny_model: Path, folder: Path, text: str) -> Path:
    """A checkpoint that answers the default prompt with ``text`` and ends.

    Its layers add nothing, so that the next token follows from the last one alone.
    """
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(tiny_model)
    tokenizer.add_tokens([text])
    model = AutoModelForCausalLM.from_pretrained(tiny_model)
    model.resize_token_embeddings(len(tokenizer), mean_resizing=False)
    model.config.tie_word_embeddings = False
    embedded = model.get_input_embeddings().weight.detach()
    head = torch.zeros_like(embedded)
    last, said = tokenizer("Answer:")["input_ids"][-1], tokenizer.convert_tokens_to_ids(text)
    head[said], head[tokenizer.eos_token_id] = embedded[last], embedded[said]
    model.lm_head = torch.nn.Linear(*reversed(head.shape), bias=False)
    model.lm_head.weight = torch.nn.Parameter(head)
    with torch.no_grad():
        for layer in model.model.layers:
            layer.self_attn.o_proj.weight.zero_()
            layer.mlp.down_proj.weight.zero_()
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def make_adapter(model_dir: Path, folder: Path, *, size: float = 1.0, **options: Any) -> Path:
    """LoRA over the model, as if trained: its second half is drawn, ``size`` times a normal."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], **options)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(model_dir), config)
    torch.manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_().mul_(size)
    model.save_pretrained(folder)
    return folder


def trained_study(runs_dir: Path, model_dir: Path, **adapter: Any) -> tuple[Store, str]:
    """A study whose training with LoRA left an adapter and its job; the training's id."""
    planned_study(runs_dir, num_items=10)
    store = Store(runs_dir)
    trainings = (r for r in store.records() if r.kind == "train")
    run_id = next(r.run_id for r in trainings if r.cell["method"] == "lora")
    make_adapter(model_dir, runs_dir / run_id / "artefact", **adapter)
    job = {"model_dir": str(model_dir), "trust_remote_code": False}
    write_json_atomic(runs_dir / run_id / "job.json", job)
    return store, run_id


def write_test_split(store: Store, cache_dir: Path, rows: list[dict[str, Any]]) -> None:
    """Where the study's training has its prepared rows."""
    plan = store.study("standard").plan
    data_id = next(s.data_id for s in plan.steps if isinstance(s, TrainPlan))
    folder = cache_dir / "data" / data_id
    folder.mkdir(parents=True)
    write_jsonl(folder / "test.jsonl", rows)
