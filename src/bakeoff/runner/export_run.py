"""What a training made, for other programs: a checkpoint, a GGUF file, a model for Ollama."""

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bakeoff.base.errors import RunError, UserError
from bakeoff.base.files import folder_when_whole, read_json, require_free_bytes, write_text_atomic
from bakeoff.base.process import Child, log_tail
from bakeoff.envs.child import isolated
from bakeoff.runner.gguf_tools import BY_QUANTISER, GgufTools
from bakeoff.runner.ollama import modelfile, ollama_note
from bakeoff.runner.use_model import TrainedModel, write_whole
from bakeoff.runner.worker_job import run_worker
from bakeoff.runner.workspace import Workspace
from bakeoff.worker_launch import OFFLINE, JobKind, worker_launch

SAFETENSORS, GGUF, OLLAMA = "safetensors", "gguf", "ollama"
TARGETS = (SAFETENSORS, GGUF, OLLAMA)
CARD = "README.md"
WEIGHTS = "model.gguf"
WHOLE = "whole"
_LEAST_BYTES = {"f32": 2.0, "f16": 1.0, "bf16": 1.0, "q8_0": 0.6}
"""Of a GGUF file against sixteen-bit weights."""


@dataclass(frozen=True, kw_only=True)
class Exporter:
    """Exports one training."""

    model: TrainedModel
    workspace: Workspace
    tools: GgufTools | None
    """None: only safetensors are wanted."""

    card: Callable[[str, str], str]
    """Writes the page that goes with it: of the weights' form, and of how to go on."""

    quant: str = "f16"
    say: Callable[[str], None] = field(default=lambda _: None)
    """Told in a few words what goes on."""

    def safetensors(self, output: Path) -> dict[str, Any]:
        """A folder that any tool reads; what the merging found.

        Raises:
            UserError: ``output`` is there, or the disk is full.
            RunError: It could not be made; holds the end of the log.
        """
        _require_absent(output)
        require_free_bytes(output.parent, self._num_bytes(1.0), "the export")
        with folder_when_whole(output) as folder:
            found = self._whole(folder)
            write_text_atomic(folder / CARD, self.card("safetensors", ""))
        return _told(found)

    def gguf(self, output: Path) -> dict[str, Any]:
        """One file for llama.cpp and what is built on it; raises as above."""
        if output.suffix != ".gguf":
            raise UserError(f"-o {output}: expected a file that ends in .gguf")
        _require_absent(output)
        with self._staged(output.parent) as folder:
            found = self._whole(folder / WHOLE)
            found |= self._convert(folder)
            (folder / WEIGHTS).replace(output)
        return _told(found)

    def ollama(self, output: Path) -> dict[str, Any]:
        """A folder with the GGUF file and a Modelfile, for `ollama create`; raises as above."""
        _require_absent(output)
        with self._staged(output.parent) as staged, folder_when_whole(output) as folder:
            found = self._whole(staged / WHOLE)
            asked = found["asked"]
            if asked["go_template"] is None:
                raise UserError(
                    "the chat template cannot be told to Ollama, whose templates only put words "
                    f"around turns: {asked['why']}",
                    hint="`--to gguf` carries the template as it is, for llama.cpp and LM Studio",
                )
            found |= self._convert(staged)
            (staged / WEIGHTS).replace(folder / WEIGHTS)
            config = read_json(staged / WHOLE / "config.json")
            text = modelfile(self.model.prompt, asked, config, WEIGHTS)
            write_text_atomic(folder / "Modelfile", text)
            note = ollama_note(output.name, self.left_to_ollama)
            write_text_atomic(folder / CARD, self.card("GGUF", note))
        return _told(found)

    @property
    def left_to_ollama(self) -> str | None:
        """The quantisation that `ollama create` has to make, because nothing here can."""
        return self.quant if self._tools.quantiser is None and self._is_rounded else None

    @property
    def _tools(self) -> GgufTools:
        assert self.tools is not None  # noqa: S101 - the command looks for them first
        return self.tools

    @property
    def _is_rounded(self) -> bool:
        return self.quant in BY_QUANTISER

    def _whole(self, folder: Path) -> dict[str, Any]:
        self.say("writing the whole model")
        folder.mkdir(exist_ok=True)
        return write_whole(self.model, folder, self.workspace, as_asked=True)

    @contextmanager
    def _staged(self, parent: Path) -> Iterator[Path]:
        """A folder on the disk of the result, which goes whatever happens."""
        share = 1.0 + _LEAST_BYTES.get(self.quant, 1.4)
        require_free_bytes(parent, self._num_bytes(share), "the export")
        parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=parent, prefix=".export-") as name:
            yield Path(name).resolve()

    def _convert(self, folder: Path) -> dict[str, Any]:
        """``folder / WHOLE`` into ``folder / WEIGHTS``; what the converter and the check found."""
        whole = folder / WHOLE
        self.say("converting to GGUF")
        made = folder / WEIGHTS
        by_quantiser = self._is_rounded and self._tools.quantiser is not None
        first = folder / "first.gguf" if by_quantiser else made
        outtype = "f16" if self._is_rounded else self.quant
        converter = self._tools.converter
        job = {
            "model_dir": str(whole),
            "output": str(first),
            "outtype": outtype,
            "converter": None if converter is None else str(converter),
        }
        found = self._do("to_gguf", job, folder)
        if by_quantiser:
            self._quantise(first, made, folder)
        if self._tools.is_locked:
            self.say("asking llama.cpp and the model the same questions")
            asked = {
                "model_dir": str(whole),
                "gguf": str(made),
                "is_rounded": by_quantiser,
                "trust_remote_code": self.model.trust_remote_code,
            }
            found["check"] = self._do("ask_gguf", asked, folder)
        return {**found, "quant": self.quant if by_quantiser else outtype,
                "num_bytes": made.stat().st_size}  # fmt: skip

    def _do(self, kind: JobKind, job: dict[str, Any], folder: Path) -> dict[str, Any]:
        launch = worker_launch(kind, job, python=self._tools.python, env=OFFLINE)
        at = folder / kind
        run_worker(launch, at, environment=isolated(self.workspace.environment))
        found: dict[str, Any] = read_json(at / "result.json")
        return found

    def _quantise(self, source: Path, target: Path, folder: Path) -> None:
        self.say(f"quantising to {self.quant}")
        log = folder / "quantise.txt"
        argv = [str(self._tools.quantiser), str(source), str(target), self.quant.upper()]
        with Child(argv, env=self.workspace.environment, cwd=folder, log_path=log) as child:
            while (code := child.wait(1.0)) is None:
                pass
        if code != 0 or not target.is_file():
            raise RunError(f"{argv[0]} ended with exit code {code}", log_tail=log_tail(log))
        source.unlink()

    def _num_bytes(self, share: float) -> int:
        weights = self.model.model_dir if self.model.is_adapter else self.model.artefact_dir
        return int(share * sum(path.stat().st_size for path in weights.glob("*.safetensors")))


def _require_absent(output: Path) -> None:
    if output.exists():
        raise UserError(f"{output} exists already", hint="name another place with -o")


def _told(found: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in found.items() if name != "packages"}
