"""Shapes of well-known models, so that a hub model can be judged without a network.

Every row is what the model's own ``config.json`` states (`Qwen/Qwen2.5-7B/config.json`, ...).
"""

from dataclasses import dataclass, field
from typing import Any

from bakeoff.predict.experts import mixture


@dataclass(frozen=True)
class Row:
    hidden: int
    layers: int
    heads: int
    key_heads: int
    intermediate: int
    vocabulary: int
    tied: bool = False
    options: dict[str, Any] = field(default_factory=dict)
    """Further fields of ``ModelShape``."""


_QWEN = {"fused_attention_input": True, "attention_bias": True}
_BIAS = {"attention_bias": True}
_FUSED = {"fused_attention_input": True}

_QWEN3_30B = mixture(hidden=2048, experts=128, active=8, width=768)
_QWEN15_MOE = mixture(hidden=2048, experts=60, active=4, width=1408, shared=5632)
_MIXTRAL = mixture(hidden=4096, experts=8, active=2, width=14336)

KNOWN: dict[str, Row] = {
    "qwen-1.8b": Row(2048, 24, 16, 16, 5504, 151936, options=_QWEN),
    "qwen-7b": Row(4096, 32, 32, 32, 11008, 151936, options=_QWEN),
    "qwen-14b": Row(5120, 40, 40, 40, 13696, 152064, options=_QWEN),
    "qwen-72b": Row(8192, 80, 64, 64, 24576, 152064, options=_QWEN),
    "qwen1.5-0.5b": Row(1024, 24, 16, 16, 2816, 151936, tied=True, options=_BIAS),
    "qwen1.5-1.8b": Row(2048, 24, 16, 16, 5504, 151936, options=_BIAS),
    "qwen1.5-4b": Row(2560, 40, 20, 20, 6912, 151936, options=_BIAS),
    "qwen1.5-7b": Row(4096, 32, 32, 32, 11008, 151936, options=_BIAS),
    "qwen1.5-14b": Row(5120, 40, 40, 40, 13696, 152064, options=_BIAS),
    "qwen2-0.5b": Row(896, 24, 14, 2, 4864, 151936, tied=True, options=_BIAS),
    "qwen2-1.5b": Row(1536, 28, 12, 2, 8960, 151936, tied=True, options=_BIAS),
    "qwen2-7b": Row(3584, 28, 28, 4, 18944, 152064, options=_BIAS),
    "qwen2-72b": Row(8192, 80, 64, 8, 29568, 152064, options=_BIAS),
    "qwen2.5-0.5b": Row(896, 24, 14, 2, 4864, 151936, tied=True, options=_BIAS),
    "qwen2.5-1.5b": Row(1536, 28, 12, 2, 8960, 151936, tied=True, options=_BIAS),
    "qwen2.5-3b": Row(2048, 36, 16, 2, 11008, 151936, tied=True, options=_BIAS),
    "qwen2.5-7b": Row(3584, 28, 28, 4, 18944, 152064, options=_BIAS),
    "qwen2.5-14b": Row(5120, 48, 40, 8, 13824, 152064, options=_BIAS),
    "qwen2.5-32b": Row(5120, 64, 40, 8, 27648, 152064, options=_BIAS),
    "qwen2.5-72b": Row(8192, 80, 64, 8, 29568, 152064, options=_BIAS),
    "qwen3-0.6b": Row(1024, 28, 16, 8, 3072, 151936, tied=True, options={"head_size": 128}),
    "qwen3-1.7b": Row(2048, 28, 16, 8, 6144, 151936, tied=True, options={"head_size": 128}),
    "qwen3-4b": Row(2560, 36, 32, 8, 9728, 151936, tied=True, options={"head_size": 128}),
    "qwen3-8b": Row(4096, 36, 32, 8, 12288, 151936),
    "qwen3-14b": Row(5120, 40, 40, 8, 17408, 151936),
    "qwen3-32b": Row(5120, 64, 64, 8, 25600, 151936, options={"head_size": 128}),
    "qwen3-30b-a3b": Row(2048, 48, 32, 4, 768, 151936, options={"head_size": 128, **_QWEN3_30B}),
    "qwen1.5-moe-a2.7b": Row(2048, 24, 16, 16, 1408, 151936, options={**_BIAS, **_QWEN15_MOE}),
    "mixtral-8x7b": Row(4096, 32, 32, 8, 14336, 32000, options=_MIXTRAL),
    "mixtral-8x7b-v0.1": Row(4096, 32, 32, 8, 14336, 32000, options=_MIXTRAL),
    "llama-7b": Row(4096, 32, 32, 32, 11008, 32000),
    "llama-13b": Row(5120, 40, 40, 40, 13824, 32000),
    "llama-30b": Row(6656, 60, 52, 52, 17920, 32000),
    "llama-65b": Row(8192, 80, 64, 64, 22016, 32000),
    "llama-2-7b": Row(4096, 32, 32, 32, 11008, 32000),
    "llama-2-13b": Row(5120, 40, 40, 40, 13824, 32000),
    "llama-2-70b": Row(8192, 80, 64, 8, 28672, 32000),
    "llama-3-8b": Row(4096, 32, 32, 8, 14336, 128256),
    "llama3-8b": Row(4096, 32, 32, 8, 14336, 128256),
    "llama-3-70b": Row(8192, 80, 64, 8, 28672, 128256),
    "llama-3.1-8b": Row(4096, 32, 32, 8, 14336, 128256),
    "llama-3.1-70b": Row(8192, 80, 64, 8, 28672, 128256),
    "llama-3.2-1b": Row(2048, 16, 32, 8, 8192, 128256, tied=True),
    "llama-3.2-3b": Row(3072, 28, 24, 8, 8192, 128256, tied=True),
    "tinyllama-1.1b": Row(2048, 22, 32, 4, 5632, 32000),
    "smollm2-135m": Row(576, 30, 9, 3, 1536, 49152, tied=True),
    "smollm2-360m": Row(960, 32, 15, 5, 2560, 49152, tied=True),
    "smollm2-1.7b": Row(2048, 24, 32, 32, 8192, 49152, tied=True),
    "mistral-7b": Row(4096, 32, 32, 8, 14336, 32000),
    "mistral-7b-v0.1": Row(4096, 32, 32, 8, 14336, 32000),
    "mistral-7b-v0.2": Row(4096, 32, 32, 8, 14336, 32000),
    "mistral-7b-v0.3": Row(4096, 32, 32, 8, 14336, 32768),
    "zephyr-7b": Row(4096, 32, 32, 8, 14336, 32000),
    "openbuddy-zephyr-7b": Row(4096, 32, 32, 8, 14336, 36608),
    "chatglm3-6b": Row(4096, 28, 32, 2, 13696, 65024, options={**_FUSED, "attention_bias": True}),
    "yi-6b": Row(4096, 32, 32, 4, 11008, 64000),
    "yi-1.5-6b": Row(4096, 32, 32, 4, 11008, 64000),
    "yi-1.5-9b": Row(4096, 48, 32, 4, 11008, 64000),
    "yi-34b": Row(7168, 60, 56, 8, 20480, 64000),
    "baichuan2-7b": Row(4096, 32, 32, 32, 11008, 125696, options=_FUSED),
    "baichuan2-13b": Row(5120, 40, 40, 40, 13696, 125696, options=_FUSED),
    "internlm2-7b": Row(4096, 32, 32, 8, 14336, 92544, options=_FUSED),
    "internlm2-1.8b": Row(2048, 24, 16, 8, 8192, 92544, options=_FUSED),
    "gemma-2b": Row(2048, 18, 8, 1, 16384, 256000, tied=True, options={"head_size": 256}),
    "gemma-7b": Row(3072, 28, 16, 16, 24576, 256000, tied=True, options={"head_size": 256}),
    "gemma-2-2b": Row(
        2304, 26, 8, 4, 9216, 256000, tied=True,
        options={"head_size": 256, "bounded_logits": True},
    ),
    "gemma-2-9b": Row(
        3584, 42, 16, 8, 14336, 256000, tied=True,
        options={"head_size": 256, "bounded_logits": True},
    ),
    "gemma-3-1b": Row(1152, 26, 4, 1, 6912, 262144, tied=True, options={"head_size": 256}),
    "gemma-3-4b": Row(2560, 34, 8, 4, 10240, 262208, tied=True, options={"head_size": 256}),
    "phi-3-mini-4k": Row(3072, 32, 32, 32, 8192, 32064, options=_FUSED),
    "glm-4-9b": Row(4096, 40, 32, 2, 13696, 151552, options={**_FUSED, "attention_bias": True}),
    "deepseek-llm-7b": Row(4096, 30, 32, 32, 11008, 102400),
    "gpt2": Row(768, 12, 12, 12, 3072, 50257, tied=True, options={**_FUSED, "gated": False}),
    "gpt2-xl": Row(1600, 48, 25, 25, 6400, 50257, tied=True, options={**_FUSED, "gated": False}),
}  # fmt: skip
