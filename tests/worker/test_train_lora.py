"""The faster LoRA layers compute what PEFT's compute."""

import copy

import peft
import pytest
import torch
import transformers

from bakeoff.worker.lora import speed_up

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def adapted(tiny_model, dtype, **settings):
    base = transformers.AutoModelForCausalLM.from_pretrained(tiny_model, dtype=dtype)
    config = peft.LoraConfig(
        task_type="CAUSAL_LM", r=4, lora_alpha=6.0, target_modules="all-linear", **settings
    )
    model = peft.get_peft_model(base, config)
    torch.manual_seed(1)
    for name, parameter in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.2)
    return model


def loss_and_gradients(model):
    tokens = torch.arange(3, 33).view(2, 15)
    loss = model(input_ids=tokens, labels=tokens).loss
    loss.backward()
    return loss.item(), {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.grad is not None
    }


@pytest.mark.parametrize(
    ("dtype", "relative"), [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)], ids=["fp32", "bf16"]
)
def test_loss_and_gradients_are_those_of_peft(dtype, relative, tiny_model):
    plain = adapted(tiny_model, dtype)
    fast = copy.deepcopy(plain)
    assert speed_up(fast) == (14, 14)
    expected_loss, expected = loss_and_gradients(plain)
    loss, gradients = loss_and_gradients(fast)
    assert loss == pytest.approx(expected_loss, rel=relative)
    assert gradients.keys() == expected.keys()
    assert {gradient.dtype for gradient in gradients.values()} == {torch.float32}
    for name, gradient in gradients.items():
        assert (gradient - expected[name]).norm() <= relative * expected[name].norm(), name


def test_an_adapter_on_some_layers_trains_only_those(tiny_model):
    model = adapted(tiny_model, torch.float32)
    few = peft.get_peft_model(
        transformers.AutoModelForCausalLM.from_pretrained(tiny_model),
        peft.LoraConfig(task_type="CAUSAL_LM", r=4, target_modules=["q_proj", "down_proj"]),
    )
    assert speed_up(few) == (4, 4)
    assert len(loss_and_gradients(few)[1]) == 8
    assert len(loss_and_gradients(model)[1]) == 28


@pytest.mark.parametrize("settings", [{"lora_dropout": 0.1}, {"use_dora": True}], ids=str)
def test_layers_that_compute_more_are_left_to_peft(settings, tiny_model):
    assert speed_up(adapted(tiny_model, torch.float32, **settings)) == (0, 14)
