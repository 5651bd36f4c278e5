"""Where llama.cpp's converter and quantiser are: a locked environment, or a person's own copy."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bakeoff.base.errors import UserError
from bakeoff.envs import ENVIRONMENTS
from bakeoff.envs.installed import installed_from
from bakeoff.envs.locks import read_lock
from bakeoff.envs.resolve import resolve
from bakeoff.runner.workspace import Workspace

ENVIRONMENT = "llamacpp"
CONVERTER = "convert_hf_to_gguf.py"
QUANTISER = "llama-quantize"
BY_CONVERTER = ("f16", "bf16", "f32", "q8_0")
BY_QUANTISER = (
    "q6_k", "q5_k_m", "q5_k_s", "q5_0", "q5_1", "q4_k_m", "q4_k_s", "q4_0", "q4_1", "iq4_nl",
    "iq4_xs", "q3_k_l", "q3_k_m", "q3_k_s", "q2_k",
)  # fmt: skip
"""In the order of size, the largest first."""

QUANTS = (*BY_CONVERTER, *BY_QUANTISER)
BY_OLLAMA = ("q4_k_m", "q4_k_s")
"""What `ollama create` can make by itself of those."""


@dataclass(frozen=True, kw_only=True)
class GgufTools:
    """What makes a GGUF file of a checkpoint."""

    python: Path
    is_locked: bool
    """An environment of ours, which holds llama.cpp too: what was written can be asked."""

    converter: Path | None
    """A file of a llama.cpp checkout; None: the package in the locked environment."""

    quantiser: Path | None
    """The program that writes fewer than eight bits; None: there is none."""


def find_tools(
    workspace: Workspace, *, llama_cpp: Path | None, search_path: Sequence[Path]
) -> GgufTools:
    """The person's own llama.cpp where they name one, else the environment, else the path.

    Args:
        workspace: Where environments are, and the interpreter in place of one.
        llama_cpp: A checkout, or the folder of its programs.
        search_path: Folders in which the system looks for programs.

    Raises:
        UserError: There is no converter.
    """
    folders = [] if llama_cpp is None else [llama_cpp, llama_cpp / "build" / "bin"]
    converter = _first(CONVERTER, folders)
    if llama_cpp is not None and converter is None:
        raise UserError(
            f"{llama_cpp} holds no {CONVERTER}",
            hint="name the folder of a llama.cpp checkout; its programs may lie in `build/bin`",
        )
    spec = ENVIRONMENTS.get(ENVIRONMENT)
    is_locked = bool(installed_from(read_lock(spec), ENVIRONMENT, workspace.cache_dir))
    if converter is None and not is_locked:
        converter = _first(CONVERTER, search_path)
        if converter is None:
            raise UserError(
                f"llama.cpp's converter is not here (looked in {workspace.cache_dir / 'envs'} and "
                f"on the path for {CONVERTER})",
                hint=f"`bakeoff env install {ENVIRONMENT}`, or `--llama-cpp DIR` for a checkout of "
                "your own",
            )
    python = workspace.python
    if is_locked:
        python = resolve(
            ENVIRONMENT, None, cache_dir=workspace.cache_dir, base_dir=Path.cwd()
        ).python
    quantiser = _first(QUANTISER, [*folders, *search_path])
    return GgufTools(python=python, is_locked=is_locked, converter=converter, quantiser=quantiser)


def require_quantiser(tools: GgufTools, quant: str, *, for_ollama: bool) -> None:
    """Before anything is merged.

    Raises:
        UserError: The quantisation needs a program that is not here.
    """
    if for_ollama and quant in BY_OLLAMA:
        return
    if quant in BY_QUANTISER and tools.quantiser is None:
        raise UserError(
            f"--quant {quant} needs llama.cpp's program `{QUANTISER}`, which is not on the path",
            hint="name a folder that holds it with --llama-cpp, or take --quant q8_0; Ollama makes "
            f"{' and '.join(BY_OLLAMA)} by itself (`--to ollama`)",
        )


def _first(name: str, folders: Sequence[Path]) -> Path | None:
    found = (folder / file for folder in folders for file in (name, f"{name}.exe"))
    return next((path.resolve() for path in found if path.is_file()), None)
