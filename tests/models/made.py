"""Files of models made for tests."""

import json


def safetensors(*, size=64, torn=0):
    """A safetensors file with one tensor of ``size`` bytes, its last ``torn`` bytes missing."""
    head = json.dumps({"w": {"dtype": "U8", "shape": [size], "data_offsets": [0, size]}}).encode()
    whole = len(head).to_bytes(8, "little") + head + bytes(size)
    return whole[: len(whole) - torn]


GOOD_FILES = {
    "config.json": b'{"model_type": "llama"}',
    "generation_config.json": b"{}",
    "tokenizer.json": b"{}",
    "tokenizer_config.json": b"{}",
    "model.safetensors": safetensors(),
}
