"""Published speeds of one training on different numbers of devices, or by different strategies.

Of each series the first row gives the share of the GPU's speed that is reached; what is predicted
is how the others differ from it. Nothing is fitted to the others. Every row is a measurement of its
source; what a source does not say is written beside it.
"""

from dataclasses import dataclass

from bakeoff.predict.shape import known_shape, make_shape
from bakeoff.schema.prediction import ModelShape

FOUNDRY = "llm-foundry, scripts/train/benchmarking/README.md @ 061f2c7c"
TITAN = "torchtitan, benchmarks/llama3_h100_202412_torchtitan.md @ 31a17bfd"
SWIFT = "ms-swift, docs/source_en/Megatron-SWIFT/Quick-start.md @ 3602360a"
ROBERTA = "DeepSpeed pull request 1453 (8 and 32 machines of p4d, 4 x 100 Gb/s between)"
INTERN = "InternLM issue 22 (one machine with NVLink, two with PCIe and 2 x 100 Gb/s)"
GRANITE = "Hugging Face blog, DeepSpeed to FSDP and back (Granite 7B)"


@dataclass(frozen=True)
class Row:
    """One measurement."""

    num_devices: int
    rows: int
    """Of a device in a pass."""

    num_passes: int
    tokens_per_second: float
    """Of a device."""

    strategy: str = "fsdp"
    inside: str | None = None
    """Link within a machine; None: that which is usual with the GPU."""

    between: str | None = None
    """Network as ``parse_network`` takes it; None: that which is usual with the GPU."""


@dataclass(frozen=True, kw_only=True)
class Series:
    """Rows of one source that differ in nothing but what ``Row`` holds."""

    source: str
    name: str
    gpu: str
    shape: ModelShape
    tokens: int
    """Of a row."""

    checkpointing: bool
    gradient_bytes: int
    """Of a number when it is summed; weights are gathered in two bytes."""

    rows: tuple[Row, ...]


def _mpt(hidden: int, layers: int, heads: int) -> ModelShape:
    """As its yaml has it: GELU, four times as wide inside, tied embedding of 50,368."""
    return make_shape(
        name="mpt", hidden=hidden, layers=layers, heads=heads, key_heads=heads,
        head_size=hidden // heads, intermediate=4 * hidden, vocabulary=50368, tied=True,
        gated=False, fused_attention_input=True, norm_in_fp32=False,
    )  # fmt: skip


def _known(name: str) -> ModelShape:
    shape = known_shape(name)
    if shape is None:
        raise LookupError(name)
    return shape


_MPT = {
    "125m": _mpt(768, 12, 12), "350m": _mpt(1024, 24, 16), "760m": _mpt(1536, 24, 12),
    "1b": _mpt(2048, 24, 16), "3b": _mpt(2560, 32, 20), "7b": _mpt(4096, 32, 32),
    "13b": _mpt(5120, 40, 40), "30b": _mpt(7168, 48, 56), "70b": _mpt(8192, 80, 64),
}  # fmt: skip


def _foundry(
    model: str, gpu: str, rows: tuple[Row, ...], *, checkpointing: bool, gradients: int
) -> Series:
    """2,048 tokens a row; 8 x 200 Gb/s between A100s (said), 8 x 400 Gb/s between H100s (taken)."""
    return Series(
        source=FOUNDRY,
        name=f"MPT-{model}, {gpu}",
        gpu=gpu,
        shape=_MPT[model],
        tokens=2048,
        checkpointing=checkpointing,
        gradient_bytes=gradients,
        rows=rows,
    )


def _pure(model: str, rows: tuple[Row, ...], *, checkpointing: bool = False) -> Series:
    return _foundry(model, "a100-40gb", rows, checkpointing=checkpointing, gradients=2)


def _mixed(model: str, rows: tuple[Row, ...], *, checkpointing: bool = False) -> Series:
    return _foundry(model, "h100-80gb", rows, checkpointing=checkpointing, gradients=4)


SERIES = (
    _mixed("760m", (Row(16, 24, 1, 68551), Row(32, 24, 1, 67971))),
    _mixed("1b", (Row(8, 14, 1, 45455), Row(16, 20, 1, 46037), Row(32, 20, 1, 45130),
                  Row(64, 20, 1, 44402))),
    _mixed("3b", (Row(16, 10, 3, 24142), Row(32, 6, 3, 23021), Row(64, 6, 3, 22525))),
    _mixed("13b", (Row(8, 2, 1, 4792), Row(16, 2, 1, 4767), Row(32, 2, 1, 4811),
                   Row(64, 2, 1, 4800))),
    _mixed("30b", (Row(8, 3, 21, 2002), Row(16, 10, 3, 2263), Row(32, 14, 3, 2308)),
           checkpointing=True),
    _mixed("70b", (Row(32, 2, 16, 882), Row(64, 8, 4, 1039)), checkpointing=True),
    _foundry("70b", "a100-80gb", (Row(32, 2, 16, 373), Row(64, 8, 4, 410)),
             checkpointing=True, gradients=2),
    _pure("125m", (Row(8, 26, 3, 136334), Row(16, 26, 1, 130535), Row(32, 26, 1, 127122),
                   Row(64, 26, 1, 125234), Row(128, 26, 1, 123936))),
    _pure("350m", (Row(8, 16, 4, 55995), Row(16, 18, 1, 55413), Row(32, 18, 1, 53811),
                   Row(64, 18, 1, 52689), Row(128, 18, 1, 51934))),
    _pure("760m", (Row(8, 12, 4, 30173), Row(16, 12, 1, 29607), Row(32, 12, 1, 29648),
                   Row(64, 12, 1, 29344), Row(128, 12, 1, 28940))),
    _pure("1b", (Row(8, 8, 8, 19271), Row(16, 8, 1, 19085), Row(32, 10, 1, 15555),
                 Row(64, 10, 1, 19001), Row(128, 10, 1, 18647))),
    _pure("3b", (Row(8, 5, 8, 10065), Row(16, 5, 1, 9750), Row(32, 6, 1, 9914),
                 Row(64, 6, 1, 9736), Row(128, 6, 1, 9538))),
    _pure("7b", (Row(8, 12, 4, 3679), Row(16, 16, 1, 3645), Row(32, 18, 1, 3725),
                 Row(64, 18, 1, 3665), Row(128, 18, 1, 3623)), checkpointing=True),
    _pure("13b", (Row(8, 4, 16, 1668), Row(16, 10, 1, 1993), Row(32, 14, 1, 1998),
                  Row(64, 16, 1, 1976), Row(128, 16, 1, 1972)), checkpointing=True),
    _pure("30b", (Row(32, 4, 1, 857), Row(128, 6, 1, 865)), checkpointing=True),
    _pure("70b", (Row(64, 2, 1, 276), Row(128, 4, 1, 376)), checkpointing=True),
    Series(
        source=TITAN, name="Llama-3.1-8B, H100", gpu="h100-80gb", shape=_known("llama-3.1-8b"),
        tokens=8192, checkpointing=False, gradient_bytes=4,
        rows=(Row(8, 2, 1, 5762), Row(128, 2, 1, 5605)),
    ),
    Series(
        source=TITAN, name="Llama-3.1-8B, H100, compiled", gpu="h100-80gb",
        shape=_known("llama-3.1-8b"), tokens=8192, checkpointing=False, gradient_bytes=4,
        rows=(Row(8, 2, 1, 6667), Row(128, 2, 1, 6514)),
    ),
    # The source tells the time of a step; two passes of one row are taken.
    Series(
        source=SWIFT, name="Qwen2.5-14B, A800", gpu="a800-80gb", shape=_known("qwen2.5-14b"),
        tokens=8192, checkpointing=True, gradient_bytes=2,
        rows=(Row(8, 1, 2, 2 * 8192 / 10.32, "zero2"), Row(8, 1, 2, 2 * 8192 / 10.56, "zero3")),
    ),
    # 52 billion parameters, 512 tokens; the shape is taken to be 64 layers of 8,192. Its TFLOP/s,
    # which leave recomputation out, are over six operations a parameter.
    Series(
        source=ROBERTA, name="RoBERTa-50B, A100", gpu="a100-40gb", tokens=512, checkpointing=True,
        shape=make_shape(
            name="roberta-50b", hidden=8192, layers=64, heads=64, key_heads=64, head_size=128,
            intermediate=32768, vocabulary=53000, tied=True, gated=False,
        ),
        gradient_bytes=2,
        rows=(Row(64, 16, 1, 372, "zero3", between="4xib-100"),
              Row(256, 16, 1, 346, "zero3", between="4xib-100")),
    ),
    # 131,072 and 262,144 tokens a step over devices with four passes of two rows each.
    Series(
        source=INTERN, name="InternLM-7B, A100", gpu="a100-80gb", shape=_known("llama-7b"),
        tokens=2048, checkpointing=False, gradient_bytes=2,
        rows=(Row(8, 2, 4, 4233.73, "zero1"),
              Row(16, 2, 4, 2104.89, "zero1", inside="pcie4", between="2xib-100")),
    ),
    # The source says eight rows a device and no length; 4,096 tokens are taken.
    Series(
        source=GRANITE, name="Granite-7B, A100", gpu="a100-80gb", shape=_known("llama-2-7b"),
        tokens=4096, checkpointing=True, gradient_bytes=2,
        rows=(Row(4, 8, 1, 3158.7, "fsdp"), Row(4, 8, 1, 3094.5, "zero3")),
    ),
)  # fmt: skip
