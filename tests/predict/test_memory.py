"""Predicted memory against values computed by hand and the literature's."""

import pytest
from tests.backends.plans import make_plan

from bakeoff.predict.claim import judge
from bakeoff.predict.duration import flops_per_token
from bakeoff.predict.facts import shards_of, work_of
from bakeoff.predict.gpus import GPUS, find_gpu, match_device_name
from bakeoff.predict.memory import predict_analytic
from bakeoff.predict.shape import known_shape, shape_of_config
from bakeoff.predict.step import write_training
from bakeoff.predict.tape import peak_of
from bakeoff.predict.work import Work
from bakeoff.schema.recipe_train import LoraSpec, TrainSpec

QWEN = known_shape("Qwen/Qwen2.5-1.5B")
A100 = GPUS["a100-80gb"]


@pytest.mark.parametrize(
    ("name", "parameters"),
    [
        ("Qwen/Qwen2.5-1.5B", 1_543_714_304),
        ("meta-llama/Llama-3.2-3B-Instruct", 3_212_749_824),
        ("Qwen/Qwen-7B-Chat", 7_721_324_544),
        ("THUDM/chatglm3-6b", 6_243_584_000),
    ],
)
def test_known_models_have_the_number_of_parameters_that_their_authors_state(name, parameters):
    assert known_shape(name).parameters == parameters


@pytest.mark.parametrize(
    ("name", "billions"),
    [
        ("Qwen/Qwen3-30B-A3B", 30.5321),
        ("Qwen/Qwen1.5-MoE-A2.7B-Chat", 14.3158),
        ("mistralai/Mixtral-8x7B-Instruct-v0.1", 46.7028),
    ],
)
def test_mixtures_of_experts_have_all_of_their_parameters(name, billions):
    assert known_shape(name).parameters / 1e9 == pytest.approx(billions, abs=1e-4)


def test_a_token_meets_a_few_experts_but_all_of_them_are_held():
    shape = known_shape("Qwen/Qwen3-30B-A3B")
    one = Work(shape=shape, rows=1, tokens=512, trains_all=True)
    assert one.stored_weight_bytes == 2 * shape.parameters
    active = flops_per_token(one) / 6
    assert 3.0e9 < active < 3.6e9  # "A3B"
    peak = peak_of(write_training(one))
    assert peak.num_bytes > 8 * shape.parameters


def test_a_configuration_gives_the_same_shape_as_the_table():
    config = {
        "model_type": "qwen2",
        "hidden_size": 1536,
        "num_hidden_layers": 28,
        "num_attention_heads": 12,
        "num_key_value_heads": 2,
        "intermediate_size": 8960,
        "vocab_size": 151936,
        "tie_word_embeddings": True,
    }
    assert shape_of_config(config, name="Qwen/Qwen2.5-1.5B") == QWEN
    assert shape_of_config({**config, "kv_lora_rank": 512}, name="x") is None


def test_a_configuration_with_experts_gives_the_same_shape_as_the_table():
    config = {
        "model_type": "qwen2_moe",
        "hidden_size": 2048,
        "num_hidden_layers": 24,
        "num_attention_heads": 16,
        "intermediate_size": 5632,
        "moe_intermediate_size": 1408,
        "shared_expert_intermediate_size": 5632,
        "num_experts": 60,
        "num_experts_per_tok": 4,
        "vocab_size": 151936,
        "tie_word_embeddings": False,
        "attention_bias": True,
    }
    name = "Qwen/Qwen1.5-MoE-A2.7B"
    assert shape_of_config(config, name=name) == known_shape(name)


@pytest.mark.parametrize(
    ("strategy", "gigabytes"),
    [("single", 120), ("zero1", 31.4), ("zero2", 16.6), ("zero3", 1.9)],
)
def test_states_of_each_stage_are_those_of_the_zero_paper(strategy, gigabytes):
    """Rajbhandari et al. 2020, figure 1: 7.5 B parameters on 64 GPUs, 2 + 2 + 12 bytes each."""
    number = 7.5e9
    shards = shards_of(strategy, 64)
    weights = 2 * number / shards.weights
    gradients = 2 * number / shards.gradients
    optimizer = 12 * number / shards.optimizer
    assert (weights + gradients + optimizer) / 1e9 == pytest.approx(gigabytes, abs=0.1)


@pytest.mark.parametrize(("optimizer", "each"), [("fused", 8), ("foreach", 10)])
def test_pure_bf16_adamw_takes_8_bytes_a_parameter_and_2_more_with_foreach(optimizer, each):
    work = Work(shape=QWEN, rows=1, tokens=16, trains_all=True, optimizer=optimizer)
    peak = peak_of(write_training(work))
    assert peak.num_bytes / QWEN.parameters == pytest.approx(each, rel=0.05)


def test_with_the_last_layer_alone_foreach_copies_nothing_of_the_embedding():
    work = Work(shape=QWEN, rows=1, tokens=16, last_layers=1, optimizer="foreach")
    embedding = QWEN.vocabulary * QWEN.hidden
    assert work.trained_numbers < work.largest_trained * 6 < embedding
    parts = peak_of(write_training(work)).parts
    assert parts.get("optimizer_transient", 0) <= 2 * work.trained_numbers


def test_logits_of_a_large_vocabulary_take_12_bytes_a_number_in_transformers():
    """log softmax, its gradient and that of the loss, all in fp32."""
    tokens = 4096
    work = Work(shape=QWEN, rows=1, tokens=tokens, rank=8, checkpointing=True, loss="model")
    parts = peak_of(write_training(work)).parts
    assert parts["logits"] == pytest.approx(12 * tokens * QWEN.vocabulary, rel=0.01)


def test_four_bits_take_about_half_a_byte_a_number_of_the_layers():
    work = Work(shape=QWEN, rows=1, tokens=16, rank=8, quantised_bits=4)
    outside = QWEN.vocabulary * QWEN.hidden
    inside = QWEN.parameters - outside
    assert work.stored_weight_bytes == pytest.approx(inside * 0.516 + outside * 2, rel=0.01)


def test_kept_activations_of_a_layer_are_counted_as_by_hand():
    """Full fine-tuning in bf16 of a Llama with flash attention, a token of one layer:

    two norms: 4 h (fp32 copy) + 2 h (before the scale) + 2 h (input of what follows) each;
    query, key, value, output: 2 (2 q + 2 k); row sums of attention: 4 heads; two fp32 numbers of
    the norms; gate, activation, other half and their product: 8 m.
    """
    shape = known_shape("meta-llama/Llama-3.2-1B")
    taken = [
        peak_of(
            write_training(
                Work(shape=shape.model_copy(update={"layers": layers}), rows=1, tokens=16384,
                     trains_all=True, optimizer="fused", loss="chunked")
            )
        ).parts["activations"]
        for layers in (8, 16)
    ]  # fmt: skip
    h, q, k, m = 2048, 2048, 512, 8192
    each = 2 * 8 * h + 2 * (2 * q + 2 * k) + 4 * 32 + 8 + 8 * m
    assert (taken[1] - taken[0]) / 8 / 16384 == pytest.approx(each, rel=0.01)


def test_recomputing_keeps_one_input_a_layer():
    work = Work(shape=QWEN, rows=2, tokens=512, rank=8, checkpointing=True)
    parts = peak_of(write_training(work)).parts
    assert parts["checkpoints"] == 28 * 2 * 512 * 1536 * 2


def test_each_counter_shows_more_than_the_one_inside_it():
    plan = make_plan(backend="swift", device="cuda", train=TrainSpec(), lora=LoraSpec())
    found = predict_analytic(work_of(plan, QWEN, tokens=512, gpu=A100), A100)
    assert found.low_bytes < found.allocated_bytes < found.reserved_bytes < found.process_bytes
    assert found.host_bytes is None
    assert sum(part.num_bytes for part in found.parts) == found.allocated_bytes


def test_a_cpu_has_neither_allocator_nor_context():
    plan = make_plan(train=TrainSpec(), lora=LoraSpec())
    found = predict_analytic(work_of(plan, QWEN, tokens=512, gpu=None), None)
    assert (found.reserved_bytes, found.process_bytes) == (None, None)
    assert found.host_bytes > found.allocated_bytes


def test_a_claim_below_weights_and_states_is_impossible_and_says_why():
    full = Work(shape=QWEN, rows=1, tokens=512, trains_all=True)
    verdict = judge(full, round(8.7e9), A100)
    assert not verdict.is_possible
    assert verdict.floor_bytes > 6 * QWEN.parameters
    assert any("moments" in reason for reason in verdict.reasons)
    lora = Work(shape=QWEN, rows=1, tokens=512, rank=16)
    assert judge(lora, round(8.7e9), A100).is_possible


@pytest.mark.parametrize(
    ("name", "key"),
    [
        ("rtx4060-8gb", "rtx4060-8gb"),
        ("RTX 4090 24GB", "rtx4090-24gb"),
        ("a100-80", "a100-80gb"),
        ("l40s", "l40s-48gb"),
    ],
)
def test_a_gpu_is_found_however_it_is_written(name, key):
    assert find_gpu(name).key == key


def test_a_driver_name_finds_its_row():
    assert match_device_name("NVIDIA GeForce RTX 4090").key.startswith("rtx4090")
    assert match_device_name("NVIDIA L40S").key == "l40s-48gb"
    assert match_device_name("Radeon") is None
