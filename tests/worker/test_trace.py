"""A step without numbers takes what the real step takes."""

import pytest
import torch
from tests.backends.plans import make_plan
from tests.worker.training import job

from bakeoff.predict.facts import work_of
from bakeoff.predict.gpus import GPUS
from bakeoff.predict.shape import shape_of_config
from bakeoff.predict.step import write_training
from bakeoff.predict.tape import Tape, peak_of
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec
from bakeoff.worker.optimizer import build_optimizer
from bakeoff.worker.rows import Row
from bakeoff.worker.settings import read_job
from bakeoff.worker.trace import trace

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")

CONFIGS = {
    "llama": {"num_key_value_heads": 2, "tie_word_embeddings": True},
    "qwen2": {"num_key_value_heads": 4, "tie_word_embeddings": False},
    "mistral": {"num_key_value_heads": 4, "tie_word_embeddings": False},
}
EXPERTS = {
    "mixtral": {"num_local_experts": 8, "num_experts_per_tok": 2},
    "qwen2_moe": {
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 128,
        "shared_expert_intermediate_size": 256,
    },
    "qwen3_moe": {
        "num_experts": 8, "num_experts_per_tok": 2, "moe_intermediate_size": 352, "head_dim": 64,
    },
}  # fmt: skip
ROWS = [Row(f"{n}", list(range(1, 129)), [-100] * 64 + list(range(65, 129))) for n in range(2)]


@pytest.fixture(autouse=True)
def two_cores(monkeypatch):
    """As many lanes by the formulas as by the trainer."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("bakeoff.predict.facts.num_cores", lambda: 2)


@pytest.fixture(scope="module")
def folder_of(tmp_path_factory):
    """A configuration without weights: a trace needs no more."""
    from transformers import AutoConfig

    def make(kind, **changes):
        values = {
            "hidden_size": 256, "intermediate_size": 704, "num_hidden_layers": 4,
            "num_attention_heads": 4, "vocab_size": 2000, "num_key_value_heads": 2,
            **CONFIGS.get(kind, {}), **changes,
        }  # fmt: skip
        folder = tmp_path_factory.mktemp(kind)
        AutoConfig.for_model(kind, **values).save_pretrained(folder)
        return folder, values

    return make


def _tape(folder, *, method, is_builtin, target, **train):
    settings = {"precision": "bf16", "batch_size": 2, "lora_rank": 8, **train}
    made = read_job(job(folder, folder, method=method, **settings))
    seen = trace(made, ROWS, is_builtin=is_builtin, target=target)
    return Tape(list(zip(seen.events[::2], seen.events[1::2], strict=True)), seen.parts)


@pytest.mark.parametrize("kind", CONFIGS)
@pytest.mark.parametrize("method", ["lora", "full"])
def test_formulas_and_trace_agree_within_a_fifth(folder_of, kind, method):
    folder, values = folder_of(kind)
    for backend in ("builtin", "swift"):
        traced = peak_of(
            _tape(folder, method=method, is_builtin=backend == "builtin", target="cpu")
        )
        train = TrainSpec(batch_size=2, precision="bf16")
        plan = make_plan(backend=backend, method=method, train=train, lora=LoraSpec(rank=8))
        shape = shape_of_config({"model_type": kind, **values}, name=kind)
        work = work_of(plan, shape, tokens=128, label_share=0.5, gpu=None)
        formula = peak_of(write_training(work))
        assert formula.num_bytes == pytest.approx(traced.num_bytes, rel=0.2), backend


@pytest.mark.parametrize("kind", EXPERTS)
def test_formulas_and_trace_agree_on_experts_that_are_trained(folder_of, kind):
    folder, values = folder_of(kind, tie_word_embeddings=False, **EXPERTS[kind])
    shape = shape_of_config({"model_type": kind, **values}, name=kind)
    for backend in ("builtin", "swift"):
        traced = peak_of(
            _tape(folder, method="full", is_builtin=backend == "builtin", target="cpu")
        )
        train = TrainSpec(batch_size=2, precision="bf16")
        plan = make_plan(backend=backend, method="full", train=train)
        work = work_of(plan, shape, tokens=128, label_share=0.5, gpu=None)
        formula = peak_of(write_training(work))
        assert formula.num_bytes == pytest.approx(traced.num_bytes, rel=0.1), backend


def test_recomputation_and_a_gpu_are_seen_by_the_trace(folder_of):
    folder, _ = folder_of("llama")
    plain = _tape(folder, method="lora", is_builtin=False, target="cuda")
    again = _tape(
        folder, method="lora", is_builtin=False, target="cuda", gradient_checkpointing=True
    )
    assert peak_of(again).num_bytes < peak_of(plain).num_bytes


def test_weights_states_and_gradients_are_told_apart(folder_of):
    folder, values = folder_of("llama")
    peak = peak_of(_tape(folder, method="full", is_builtin=False, target="cuda"))
    number = shape_of_config({"model_type": "llama", **values}, name="llama").parameters
    assert peak.parts["weights"] == 2 * number
    assert peak.parts["optimizer"] >= 4 * number


@pytest.mark.parametrize("is_builtin", [True, False])
def test_moments_in_8_bits_are_as_large_as_real_ones(folder_of, is_builtin):
    from transformers import AutoConfig, AutoModelForCausalLM

    folder, values = folder_of("llama")
    changes = {"method": "full", "optimizer": "adamw-8bit"}
    traced = peak_of(_tape(folder, is_builtin=is_builtin, target="cuda", **changes))
    model = AutoModelForCausalLM.from_config(AutoConfig.from_pretrained(folder))
    settings = read_job(job(folder, folder, **changes)).train
    named = dict(model.named_parameters())
    embeddings = [model.get_input_embeddings().weight]
    optimizer = build_optimizer(named, settings, embeddings=embeddings)
    for parameter in named.values():
        parameter.grad = torch.ones_like(parameter)
    optimizer.step()
    real = sum(
        value.nbytes
        for state in optimizer.state.values()
        for name, value in state.items()
        if isinstance(value, torch.Tensor) and "qmap" not in name
    )
    assert traced.parts["optimizer"] == pytest.approx(real, rel=0.01)
    work = work_of(
        make_plan(method="full", train=TrainSpec(optimizer="adamw-8bit")),
        shape_of_config({"model_type": "llama", **values}, name="llama"),
        tokens=128,
        gpu=GPUS["rtx4060-8gb"],
    )
    formula = peak_of(write_training(work))
    assert formula.parts["optimizer"] == pytest.approx(real, rel=0.01)


def test_the_trace_is_what_torch_allocates(folder_of):
    """The same step with numbers, its allocations counted by torch's own profiler."""
    from transformers import AutoConfig, AutoModelForCausalLM

    folder, _ = folder_of("llama")
    traced = peak_of(_tape(folder, method="full", is_builtin=False, target="cpu"))
    config = AutoConfig.from_pretrained(folder)
    with torch.profiler.profile(profile_memory=True) as profile:
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
        optimizer = torch.optim.AdamW(model.parameters())
        ids = torch.tensor([row.token_ids for row in ROWS])
        for _ in range(2):
            model(input_ids=ids, labels=ids, use_cache=False).loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            optimizer.zero_grad()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    live = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        live += event.nbytes()
        peak = max(peak, live)
    assert traced.num_bytes == pytest.approx(peak, rel=0.1)


def test_a_second_lane_has_gradients_of_its_own_until_the_step(folder_of):
    folder, values = folder_of("llama", intermediate_size=2816)
    number = shape_of_config(
        {"model_type": "llama", **values, "intermediate_size": 2816}, name="llama"
    ).parameters
    two, one = (
        peak_of(_tape(folder, method="full", is_builtin=True, target="cpu", batch_size=size))
        for size in (2, 1)
    )
    assert two.parts["gradients"] == pytest.approx(2 * one.parts["gradients"], rel=0.01)
    assert one.parts["gradients"] == pytest.approx(2 * number, rel=0.01)
