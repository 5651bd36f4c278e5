"""A model whose architecture is a Python file beside its weights."""

import json
import shutil
import sys
from pathlib import Path

import pytest

CODE = """
from transformers import LlamaConfig, LlamaForCausalLM


class MyTinyConfig(LlamaConfig):
    model_type = "mytiny"


class MyTinyForCausalLM(LlamaForCausalLM):
    config_class = MyTinyConfig
"""


def make_custom_code_model(tiny_model: Path, folder: Path) -> Path:
    """A copy of the tiny model that loads with ``trust_remote_code`` only."""
    shutil.copytree(tiny_model, folder)
    config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config |= {
        "model_type": "mytiny",
        "architectures": ["MyTinyForCausalLM"],
        "auto_map": {
            "AutoConfig": "modeling_mytiny.MyTinyConfig",
            "AutoModelForCausalLM": "modeling_mytiny.MyTinyForCausalLM",
        },
    }
    (folder / "config.json").write_text(json.dumps(config), encoding="utf-8")
    (folder / "modeling_mytiny.py").write_text(CODE, encoding="utf-8")
    return folder


def keep_code_copies_in(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have transformers copy such code to ``folder``, not to the home of who runs the tests."""
    monkeypatch.setattr("transformers.dynamic_module_utils.HF_MODULES_CACHE", str(folder))
    monkeypatch.setattr(sys, "path", [*sys.path])
