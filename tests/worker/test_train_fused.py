"""Fused parts of a layer compute what the architecture's own parts compute."""

import copy

import peft
import pytest
import torch
import transformers
from torch.nn import functional

from bakeoff.worker.fused import fuse
from bakeoff.worker.lora import speed_up
from bakeoff.worker.loss import linear_cross_entropy

SIZES = {
    "vocab_size": 80, "hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2,
    "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 8, "pad_token_id": 0,
}  # fmt: skip
FUSED = {
    "llama": {"norms": 5, "gated layers": 2},
    "qwen2": {"norms": 5, "gated layers": 2},
    "qwen3": {"norms": 9, "gated layers": 2},  # queries and keys have norms of their own
    "mistral": {"norms": 5, "gated layers": 2},
    "phi3": {"norms": 5, "gated layers": 0},  # gate and up are one layer
    "gemma": {"norms": 0, "gated layers": 0},  # scales by 1 + w; gates with GELU
    "gemma3_text": {"norms": 0, "gated layers": 0},
}

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def make_model(kind, dtype=torch.float32, *, with_adapter=False, **settings):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **SIZES, **settings)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    for parameter in model.parameters():
        torch.nn.init.normal_(parameter, mean=0.5 * (parameter.dim() == 1), std=0.2)
    if with_adapter:
        lora = peft.LoraConfig(r=4, lora_alpha=6.0, target_modules="all-linear")
        model = peft.get_peft_model(model, lora)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                torch.nn.init.normal_(parameter, std=0.2)
    return model


def loss_and_gradients(model):
    tokens = torch.arange(3, 33).view(2, 15)
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    named = model.named_parameters()
    return loss.item(), {name: value.grad for name, value in named if value.grad is not None}


def assert_same(plain, fast, relative):
    expected_loss, expected = loss_and_gradients(plain)
    loss, gradients = loss_and_gradients(fast)
    assert loss == pytest.approx(expected_loss, rel=relative)
    assert gradients.keys() == expected.keys()
    for name, gradient in gradients.items():
        assert gradient.dtype == expected[name].dtype
        wanted = expected[name].float()
        assert (gradient.float() - wanted).norm() <= relative * wanted.norm() + 1e-7, name


@pytest.mark.parametrize("kind", FUSED)
def test_all_weights_get_the_gradients_of_the_architecture(kind):
    plain = make_model(kind)
    fast = copy.deepcopy(plain)
    assert fuse(fast) == FUSED[kind]
    assert_same(plain, fast, 1e-5)


@pytest.mark.parametrize("kind", FUSED)
def test_an_adapter_gets_the_gradients_of_peft(kind):
    plain = make_model(kind, with_adapter=True)
    fast = copy.deepcopy(plain)
    speed_up(fast)
    assert fuse(fast) == FUSED[kind]
    assert_same(plain, fast, 2e-5)


def test_layers_with_a_bias_get_their_gradients_too():
    plain = make_model("llama", mlp_bias=True)
    fast = copy.deepcopy(plain)
    assert fuse(fast) == FUSED["llama"]
    assert_same(plain, fast, 1e-5)


def test_in_bf16_the_gradients_differ_by_rounding_alone():
    plain = make_model("llama", torch.bfloat16, with_adapter=True)
    fast = copy.deepcopy(plain)
    speed_up(fast)
    assert fuse(fast) == FUSED["llama"]
    assert_same(plain, fast, 5e-2)


def test_layers_with_dropout_in_their_adapter_stay_as_they_are():
    model = peft.get_peft_model(
        make_model("llama"),
        peft.LoraConfig(r=4, lora_dropout=0.1, target_modules=["up_proj"]),
    )
    assert fuse(model) == {"norms": 5, "gated layers": 0}


def test_a_part_that_only_looks_alike_stays_as_it_is():
    model = make_model("llama", hidden_act="gelu")
    model.model.norm.forward = lambda x: x
    assert fuse(model) == {"norms": 4, "gated layers": 0}


@pytest.mark.parametrize("trained", [True, False], ids=["trained", "frozen"])
def test_the_loss_with_its_output_layer_has_the_gradients_of_torch(trained):
    generator = torch.Generator().manual_seed(0)
    hidden = torch.randn(600, 8, generator=generator, requires_grad=True)
    weight = torch.randn(30, 8, generator=generator).requires_grad_(trained)
    bias = torch.randn(30, generator=generator).requires_grad_(trained)
    targets = torch.randint(0, 30, (600,), generator=generator)
    inputs = [hidden, weight, bias] if trained else [hidden]
    logits = functional.linear(hidden, weight, bias)
    expected = functional.cross_entropy(logits, targets, reduction="sum") / 7
    loss = linear_cross_entropy(hidden, weight, bias, targets, 7)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for gradient, wanted in zip(
        torch.autograd.grad(3 * loss, inputs),
        torch.autograd.grad(3 * expected, inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-5)


def test_the_loss_of_a_hopeless_prediction_is_finite():
    hidden = torch.tensor([[1.0]], requires_grad=True)
    weight = torch.tensor([[500.0], [-500.0]])
    loss = linear_cross_entropy(hidden, weight, None, torch.tensor([1]), 1)
    loss.backward()
    assert loss.item() == 1000
    assert hidden.grad.item() == 1000
