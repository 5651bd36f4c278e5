"""Packed rows give the loss and gradients that a plain padded forward pass gives."""

import pytest
import torch
import transformers
from tests.worker.training import job
from torch.nn import functional

from bakeoff.worker.attention import PackedAttention
from bakeoff.worker.layout import Layout
from bakeoff.worker.loss import divided_cross_entropy
from bakeoff.worker.modelling import load_trainee
from bakeoff.worker.rows import IGNORED, Row
from bakeoff.worker.settings import read_job

SIZES = {
    "vocab_size": 80,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
    "head_dim": 8,
    "pad_token_id": 0,
    "bos_token_id": 1,
    "eos_token_id": 2,
}
GPT2_SIZES = {"vocab_size": 80, "n_embd": 32, "n_layer": 2, "n_head": 4, "n_positions": 64}
BLOOM_SIZES = {"vocab_size": 80, "hidden_size": 32, "n_layer": 2, "n_head": 4}
NO_DROPOUT = {"attn_pdrop": 0.0, "embd_pdrop": 0.0, "resid_pdrop": 0.0}
ALL_GLOBAL = {"sliding_window": None}

PACKED = {
    "llama": SIZES,
    "qwen2": SIZES,
    "qwen3": SIZES,
    "mistral": {**SIZES, **ALL_GLOBAL},
    "phi3": SIZES,
    "gemma": SIZES,
    "gemma3_text": {**SIZES, "sliding_window": 64},
    "olmo2": SIZES,
    "granite": {**SIZES, "logits_scaling": 4.0, "attention_multiplier": 0.3},
    "gpt2": {**GPT2_SIZES, **NO_DROPOUT},
}
PADDED = {
    "gemma2": SIZES,  # caps its scores softly
    "mistral": {**SIZES, "sliding_window": 6},  # shorter than a row
    "bloom": BLOOM_SIZES,  # ALiBi instead of positions
}

pytestmark = pytest.mark.filterwarnings("ignore:.is_gradient_checkpointing.:FutureWarning")


def make_rows() -> list[Row]:
    generator = torch.Generator().manual_seed(0)
    rows = []
    for number, length in enumerate((9, 14, 2, 11)):
        tokens = torch.randint(3, 80, (length,), generator=generator).tolist()
        rows.append(Row(str(number), tokens, [IGNORED] * (length // 2) + tokens[length // 2 :]))
    return rows


def make_rows_with_one_start(number_ignored=12) -> list[Row]:
    """Rows that share ten tokens, the first of which is their own."""
    generator = torch.Generator().manual_seed(1)
    start = torch.randint(3, 80, (10,), generator=generator).tolist()
    rows = []
    for number, length in enumerate((4, 9, 5)):
        tokens = start + torch.randint(3, 80, (length,), generator=generator).tolist()
        labels = [IGNORED] * number_ignored + tokens[number_ignored:]
        rows.append(Row(str(number), tokens, labels))
    return rows


def save_model(folder, kind, sizes, dtype=torch.float32):
    torch.manual_seed(0)
    config = transformers.AutoConfig.for_model(kind, **sizes)
    model = transformers.AutoModelForCausalLM.from_config(config, dtype=dtype)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(3)  # far from the near-linear start, so that leaks would show
    model.save_pretrained(folder)
    return folder


def load(folder, rows, **settings):
    raw = job(folder, folder, method="full", **settings)
    return load_trainee(read_job(raw), rows, pad_token=0, device=torch.device("cpu"))


def plain_loss(folder, rows, dtype=torch.float32):
    """Transformers by itself: eager attention, one padded batch, torch's cross-entropy."""
    model = transformers.AutoModelForCausalLM.from_pretrained(
        folder, dtype=dtype, attn_implementation="eager"
    )
    model.train()
    width = max(len(row.token_ids) for row in rows)
    padding = [width - len(row.token_ids) for row in rows]
    tokens = [row.token_ids + [0] * number for row, number in zip(rows, padding, strict=True)]
    labels = [row.labels + [IGNORED] * number for row, number in zip(rows, padding, strict=True)]
    mask = [
        [1] * len(row.token_ids) + [0] * number for row, number in zip(rows, padding, strict=True)
    ]
    logits = model(
        input_ids=torch.tensor(tokens), attention_mask=torch.tensor(mask), use_cache=False
    ).logits
    loss = functional.cross_entropy(
        logits[:, :-1].flatten(0, 1).float(), torch.tensor(labels)[:, 1:].flatten()
    )
    loss.backward()
    return loss.item(), {name: value.grad for name, value in model.named_parameters()}


def our_loss(trainee, rows):
    trainee.model.train()
    num_targets = sum(row.num_targets for row in rows)
    loss = trainee.cross_entropy(trainee.make_batch(rows), num_targets)
    loss.backward()
    return loss.item(), {name: value.grad for name, value in trainee.trained.items()}


def assert_equal_within(trainee, folder, rows, relative):
    expected_loss, expected = plain_loss(folder, rows)
    loss, gradients = our_loss(trainee, rows)
    assert loss == pytest.approx(expected_loss, rel=relative)
    assert gradients.keys() == expected.keys()
    scale = max(float(gradient.abs().max()) for gradient in expected.values())
    for name, gradient in gradients.items():
        difference = float((gradient - expected[name]).abs().max())
        assert difference < 10 * relative * scale, name


@pytest.mark.parametrize("kind", PACKED)
def test_packed_rows_give_the_loss_and_gradients_of_a_padded_batch(kind, tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, kind, PACKED[kind])
    trainee = load(folder, rows)
    assert trainee.attention_path.startswith("packed"), trainee.attention_path
    assert_equal_within(trainee, folder, rows, 1e-5)


@pytest.mark.parametrize("kind", PACKED)
def test_a_start_that_rows_share_is_computed_once_and_changes_nothing(kind, tmp_path):
    rows, folder = make_rows_with_one_start(), save_model(tmp_path, kind, PACKED[kind])
    trainee = load(folder, rows)
    batch = trainee.make_batch(rows)
    assert batch.token_ids.shape == (1, 10 + 4 + 9 + 5)
    assert batch.rows() == ([row.token_ids for row in rows], [row.labels for row in rows])
    assert_equal_within(trainee, folder, rows, 1e-5)


def test_with_dropout_every_row_is_whole_since_it_leaves_out_others(tmp_path):
    rows = make_rows_with_one_start()
    sizes = {**PACKED["gpt2"], "resid_pdrop": 0.1}
    trainee = load(save_model(tmp_path, "gpt2", sizes), rows)
    assert trainee.attention_path.startswith("packed"), trainee.attention_path
    assert trainee.make_batch(rows).layout.num_shared == 0


@pytest.mark.parametrize("kind", PADDED)
def test_an_architecture_that_packing_would_get_wrong_is_padded(kind, tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, kind, PADDED[kind])
    trainee = load(folder, rows)
    assert "padded rows (" in trainee.attention_path
    assert_equal_within(trainee, folder, rows, 1e-5)


def test_gradient_checkpointing_changes_nothing(tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows, gradient_checkpointing=True)
    layers = trainee.model.model.layers
    assert all(layer.gradient_checkpointing for layer in layers)
    assert_equal_within(trainee, folder, rows, 1e-5)


def test_the_loss_takes_the_output_layer_in_unless_the_model_changes_its_logits(tmp_path):
    rows = make_rows()
    kinds = ("llama", "gemma", "granite")  # granite divides them
    for kind in kinds:
        save_model(tmp_path / kind, kind, PACKED[kind])
    with_decoder = [load(tmp_path / kind, rows).decoder is not None for kind in kinds]
    assert with_decoder == [True, True, False]


@pytest.mark.parametrize("can_keep_logits", [True, False])
def test_a_loss_from_logits_is_the_same(can_keep_logits, tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows)
    assert trainee.can_keep_logits
    trainee.decoder, trainee.can_keep_logits = None, can_keep_logits
    assert_equal_within(trainee, folder, rows, 1e-5)


def test_lean_memory_recomputes_and_takes_few_tokens_at_a_time(tmp_path, monkeypatch):
    monkeypatch.setattr("bakeoff.worker.modelling._LEAN_TOKENS", 20)
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows, memory="lean")
    assert all(layer.gradient_checkpointing for layer in trainee.model.model.layers)
    portions = trainee.portions(rows, 4)
    assert [[len(row.token_ids) for row in rows] for rows in portions] == [[9], [14, 2], [11]]
    expected_loss, expected = plain_loss(folder, rows)
    trainee.model.train()
    num_targets = sum(row.num_targets for row in rows)
    total = 0.0
    for portion in portions:
        loss = trainee.cross_entropy(trainee.make_batch(portion), num_targets)
        loss.backward()
        total += loss.item()
    assert total == pytest.approx(expected_loss, rel=1e-5)
    for name, parameter in trainee.trained.items():
        torch.testing.assert_close(parameter.grad, expected[name], rtol=1e-3, atol=1e-4)


def test_in_bf16_the_loss_is_that_of_the_padded_batch_within_rounding(tmp_path):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])
    trainee = load(folder, rows, precision="bf16")
    expected, _ = plain_loss(folder, rows)
    assert trainee.attention_path.startswith("packed")
    loss, gradients = our_loss(trainee, rows)
    assert loss == pytest.approx(expected, rel=0.02)
    assert {gradient.dtype for gradient in gradients.values()} == {torch.bfloat16}


def test_the_probe_notices_rows_that_see_each_other(tmp_path, monkeypatch):
    rows, folder = make_rows(), save_model(tmp_path, "llama", PACKED["llama"])

    def as_one_row(self, *arguments, **others):
        self.layout = Layout((sum(self.layout.row_lengths),))
        return attend(self, *arguments, **others)

    attend = PackedAttention.__call__
    monkeypatch.setattr(PackedAttention, "__call__", as_one_row)
    trainee = load(folder, rows)
    assert "packed rows gave logits that differ" in trainee.attention_path
    assert trainee.make_batch(rows).attention_mask is not None


def test_cross_entropy_and_its_gradient_are_those_of_torch():
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(600, 30, generator=generator, requires_grad=True)
    targets = torch.randint(0, 30, (600,), generator=generator)
    expected = functional.cross_entropy(logits, targets, reduction="sum") / 7
    (expected_gradient,) = torch.autograd.grad(3 * expected, logits)
    loss = divided_cross_entropy(logits, targets, 7)
    (gradient,) = torch.autograd.grad(3 * loss, logits)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    torch.testing.assert_close(gradient, expected_gradient)


@pytest.mark.parametrize("num_shared", [0, 2])
@pytest.mark.parametrize("by_kernel", [False, True])
@pytest.mark.parametrize("tile_tokens", [128, 2])
def test_attention_has_the_gradients_of_its_formula(
    tile_tokens, by_kernel, num_shared, monkeypatch
):
    monkeypatch.setattr("bakeoff.worker.attention.TILE_TOKENS", tile_tokens)
    monkeypatch.setattr("bakeoff.worker.attention._kernel_is_faster", lambda _: by_kernel)
    generator = torch.Generator().manual_seed(0)
    inputs = [
        torch.randn(
            1, heads, 7 + num_shared, 4, generator=generator, dtype=torch.float64
        ).requires_grad_()
        for heads in (4, 2, 2)
    ]
    attention = PackedAttention()
    lengths = (3, 1, 3)
    attention.layout = Layout(tuple(n + num_shared for n in lengths), num_shared)

    def attend(*tensors):
        return attention(torch.nn.Module(), *tensors, None, scaling=0.4)[0]

    def by_formula(*tensors):
        shared, *rest = zip(*(t.split((num_shared, *lengths), 2) for t in tensors), strict=True)
        wholes = [[torch.cat(parts, 2) for parts in zip(shared, row, strict=True)] for row in rest]
        rows = [
            functional.scaled_dot_product_attention(
                *row, is_causal=True, scale=0.4, enable_gqa=True
            )
            for row in wholes
        ]
        own = [row[:, :, num_shared:] for row in rows]
        return torch.cat([rows[0][:, :, :num_shared], *own], dim=2).transpose(1, 2)

    expected = by_formula(*inputs)
    weights = torch.randn(expected.shape, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(attend(*inputs), expected, rtol=1e-5, atol=1e-6)
    for gradient, wanted in zip(
        torch.autograd.grad((attend(*inputs) * weights).sum(), inputs),
        torch.autograd.grad((expected * weights).sum(), inputs),
        strict=True,
    ):
        torch.testing.assert_close(gradient, wanted, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(
    "extra", [{"softcap": 30.0}, {"sliding_window": 2}, {"dropout": 0.1}, {"s_aux": torch.zeros(1)}]
)
def test_attention_refuses_what_it_would_get_wrong(extra):
    attention = PackedAttention()
    attention.layout = Layout((3,))
    inputs = [torch.zeros(1, 1, 3, 4)] * 3
    with pytest.raises(NotImplementedError):
        attention(torch.nn.Module(), *inputs, None, **extra)


def test_other_devices_attend_with_the_same_result():
    """The path for GPUs, run on the CPU."""
    from bakeoff.worker import attention as module

    generator = torch.Generator().manual_seed(0)
    query, key, value = (torch.randn(1, heads, 9, 4, generator=generator) for heads in (4, 2, 2))
    attention = PackedAttention()
    attention.layout = Layout((4, 2, 3))
    expected = attention(torch.nn.Module(), query, key, value, None)[0]
    by_kernel = module._attend_by_kernel(query, key, value, 0.5, (4, 2, 3))
    torch.testing.assert_close(by_kernel, expected)
