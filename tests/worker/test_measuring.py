"""What a worker notes about itself: memory by its allocator and by the kernel, work, speed."""

import json
import sys
from types import SimpleNamespace

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM

from bakeoff.worker import calibrate
from bakeoff.worker.events import Events
from bakeoff.worker.memory_watch import MemoryWatch, high_water_bytes, tree_bytes
from bakeoff.worker.model_flops import flops_of, num_token_pairs
from bakeoff.worker.rows import Row

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux resets the mark")


class FakeCuda:
    """The counters of torch's allocator."""

    def __init__(self):
        self.allocated = self.reserved = 0

    def is_initialized(self):
        return True

    def max_memory_allocated(self):
        return self.allocated

    def max_memory_reserved(self):
        return self.reserved

    def reset_peak_memory_stats(self):
        self.allocated = self.reserved = 1


def _peaks(folder, rank=0):
    return json.loads((folder / f"memory-rank{rank}.json").read_text(encoding="utf-8"))


def test_peaks_of_a_device_are_told_by_rank_loading_apart(tmp_path, monkeypatch):
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    monkeypatch.setenv("RANK", "1")
    watch = MemoryWatch()
    cuda.allocated, cuda.reserved = 700, 900
    watch.begin_work()
    cuda.allocated, cuda.reserved = 300, 400
    watch.begin_work()  # later validations and steps change nothing
    watch.write(tmp_path)
    found = _peaks(tmp_path, rank=1)
    assert (found["device_allocated_bytes"], found["device_reserved_bytes"]) == (300, 400)
    assert (found["load_device_allocated_bytes"], found["load_device_reserved_bytes"]) == (700, 900)


def test_what_follows_the_work_is_no_part_of_its_peaks(tmp_path, monkeypatch):
    cuda = FakeCuda()
    monkeypatch.setitem(sys.modules, "torch", SimpleNamespace(cuda=cuda))
    watch = MemoryWatch()
    watch.begin_work()
    cuda.allocated = 300
    watch.end_work()
    cuda.allocated = 900
    watch.write(tmp_path)
    assert _peaks(tmp_path)["device_allocated_bytes"] == 300


@linux
def test_the_kernels_mark_begins_anew_with_the_work(tmp_path):
    block = bytearray(300_000_000)
    watch = MemoryWatch()
    del block
    watch.begin_work()
    watch.write(tmp_path)
    found = _peaks(tmp_path)
    assert found["load_host_bytes"] - found["host_bytes"] > 0.2e9
    assert found["device_allocated_bytes"] is None


@linux
def test_a_mark_that_cannot_begin_anew_is_not_taken_for_that_of_the_work(tmp_path, monkeypatch):
    monkeypatch.setattr("bakeoff.worker.memory_watch._reset_host", lambda: False)
    block = bytearray(300_000_000)
    del block
    watch = MemoryWatch()
    watch.begin_work()
    watch.write(tmp_path)
    found = _peaks(tmp_path)
    assert found["host_bytes"] is None
    assert found["load_host_bytes"] > 0.3e9


def test_a_run_that_died_while_loading_has_the_peaks_of_loading_alone(tmp_path):
    MemoryWatch().write(tmp_path)
    found = _peaks(tmp_path)
    assert found["load_host_bytes"] == pytest.approx(high_water_bytes(), rel=0.1)
    assert "host_bytes" not in found


def test_a_run_that_went_on_keeps_the_larger_peak_of_its_attempts(tmp_path):
    before = {"rank": 0, "host_bytes": 1, "load_host_bytes": 10**15, "device_allocated_bytes": None}
    (tmp_path / "memory-rank0.json").write_text(json.dumps(before), encoding="utf-8")
    watch = MemoryWatch()
    watch.begin_work()
    watch.write(tmp_path)
    found = _peaks(tmp_path)
    assert found["load_host_bytes"] == 10**15
    assert found["host_bytes"] != 1
    assert found["device_allocated_bytes"] is None


@linux
def test_memory_is_noted_where_a_phase_begins_for_the_first_time(tmp_path):
    events = Events(tmp_path / "events.jsonl")
    for phase in ("load_model", "load_data", "load_model"):
        events.phase(phase)
    events.close()
    lines = (tmp_path / "events.jsonl").read_text(encoding="utf-8").splitlines()
    noted = [json.loads(line).get("host_bytes") for line in lines]
    assert noted[2] is None
    assert noted[0] == pytest.approx(tree_bytes(), rel=0.2)


def _model(**changes):
    config = LlamaConfig(
        vocab_size=100, hidden_size=32, intermediate_size=64, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, **changes,
    )  # fmt: skip
    return LlamaForCausalLM(config)


LAYER = 32 * 32 + 2 * 16 * 32 + 32 * 32 + 3 * 32 * 64
"""Weights of one layer's matrices: q, k and v, o, and three of the MLP."""


@pytest.mark.parametrize("tied", [False, True])
def test_full_fine_tuning_takes_six_operations_a_weight(tied):
    assert flops_of(_model(tie_word_embeddings=tied)) == {
        "flops_per_token": 6 * 2 * LAYER,
        "flops_per_label_token": 6 * 100 * 32,
        "flops_per_token_pair": 12 * 2 * 32,
    }


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")
def test_frozen_weights_under_an_adapter_need_no_gradient_of_their_own():
    from peft import LoraConfig, get_peft_model

    model = get_peft_model(_model(), LoraConfig(r=1, target_modules="all-linear"))
    found = flops_of(model)
    # 4 for each frozen weight, and the adapter's own few.
    assert 4 * 2 * LAYER < found["flops_per_token"] < 4.4 * 2 * LAYER
    assert found["flops_per_label_token"] == 4 * 100 * 32
    assert found["flops_per_token_pair"] == 12 * 2 * 32


def test_layers_below_the_trained_ones_are_only_passed_forward():
    model = _model().requires_grad_(False)
    model.model.layers[1].requires_grad_(True)
    found = flops_of(model)
    first_matrix = 2 * 32 * 32  # the first trained one needs no gradient of its input
    assert found["flops_per_token"] == 2 * LAYER + 6 * LAYER - first_matrix
    assert found["flops_per_token_pair"] == 32 * (4 + 12)


def test_what_cannot_be_counted_is_none():
    model = _model()
    model.config.num_experts = 8
    assert set(flops_of(model).values()) == {None}


@pytest.mark.parametrize("kind", ["mixtral", "qwen2_moe"])
def test_a_token_meets_the_experts_that_are_chosen_for_it_alone(kind):
    from transformers import AutoConfig, AutoModelForCausalLM

    sizes = {
        "mixtral": {"num_local_experts": 8, "intermediate_size": 48},
        "qwen2_moe": {
            "num_experts": 8, "moe_intermediate_size": 48, "shared_expert_intermediate_size": 64,
        },
    }  # fmt: skip
    config = AutoConfig.for_model(
        kind,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=100,
        num_experts_per_tok=2,
        **sizes[kind],
    )
    found = flops_of(AutoModelForCausalLM.from_config(config))
    shared = 3 * 32 * 64 + 32 if kind == "qwen2_moe" else 0  # with its gate
    attention = 2 * 32 * 32 + 2 * 32 * 16
    assert found["flops_per_token"] == 6 * 2 * (attention + 2 * 3 * 32 * 48 + shared)


def test_pairs_of_tokens_are_those_within_a_row():
    assert num_token_pairs([Row("a", [1, 2, 3], [1, 2, 3]), Row("b", [1], [1])]) == 10


@pytest.fixture
def trained(tmp_path):
    """A run directory as it is when a training has ended."""
    effective = {"device": "cpu", "weight_dtype": "float32", "autocast": None}
    hardware = {"gpus": [], "cpu": "some", "num_torch_threads": 1}
    result = {"effective": effective, "hardware": hardware, "packages": {"torch": "2"}}
    (tmp_path / "result.json").write_text(json.dumps(result), encoding="utf-8")
    return tmp_path


def _calibrate(folder):
    events = Events(folder / "events.jsonl")
    calibrate.main(events, folder)
    events.close()
    answer = folder / "matmul.json"
    return json.loads(answer.read_text(encoding="utf-8")) if answer.exists() else None


def test_the_device_is_measured_only_where_it_is_asked_for(trained):
    assert _calibrate(trained) is None


@pytest.mark.parametrize("is_busy", [False, True])
def test_the_speed_of_a_quiet_machine_is_measured_once(trained, monkeypatch, is_busy):
    monkeypatch.setattr(calibrate, "_is_busy", lambda: is_busy)
    kept = trained / "kept"
    asked = json.dumps({"calibration_dir": str(kept)})
    (trained / "measure.json").write_text(asked, encoding="utf-8")
    found = _calibrate(trained)
    assert found["format"] == "float32"
    # A matrix product does at least a hundred million operations a second anywhere.
    assert found["flops_per_second"] > 1e8
    assert kept.exists() is not is_busy
    monkeypatch.setattr(calibrate, "_measure", lambda *_: {"flops_per_second": 1.0})
    assert (_calibrate(trained) == found) is not is_busy


@pytest.mark.gpu
def test_a_real_gpu_tells_the_peaks_of_its_allocator(tmp_path, tiny_model):
    watch = MemoryWatch()
    model = AutoModelForCausalLM.from_pretrained(tiny_model).to("cuda")
    watch.begin_work()
    block = torch.zeros(100_000_000, dtype=torch.uint8, device="cuda")
    del block
    watch.write(tmp_path)
    found = _peaks(tmp_path)
    assert found["device_allocated_bytes"] > 100_000_000 > found["load_device_allocated_bytes"] > 0
    assert next(model.parameters()).is_cuda
