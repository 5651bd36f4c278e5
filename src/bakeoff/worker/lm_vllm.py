"""The harness's vLLM class, with answers kept as they come and an ending for each.

Prompts, tokenisation, stop strings and the cutting of answers stay the harness's own; vLLM loads an
adapter beside the weights, unmerged. It runs in an environment of its own (``engine: vllm``).
"""

import importlib
import importlib.metadata
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lm_eval.models.utils import handle_stop_sequences, normalize_gen_kwargs
from typing_extensions import override

from bakeoff.worker.lm_kept import Ending, Keep, Keeping, KeepScore, KeptAnswers, template_args
from bakeoff.worker.vllm_adapter import max_rank_of


def _platform() -> Any:
    return importlib.import_module("vllm.platforms").current_platform


def _harness_class() -> Any:
    """The harness asks for the version of `vllm`, which a build for the CPU has under its name."""
    # vLLM itself takes the missing name for a sign of the CPU, and looks once only: here.
    _platform()
    usual = importlib.metadata.version

    def version(distribution_name: str) -> str:
        try:
            return usual(distribution_name)
        except importlib.metadata.PackageNotFoundError:
            return usual(f"{distribution_name}-cpu")

    importlib.metadata.version = version
    try:
        module = importlib.import_module("lm_eval.models.vllm_causallms")
    finally:
        importlib.metadata.version = usual
    return module.VLLM


_REQUESTS_PER_REPORT = 256
"""vLLM schedules these by itself; after each so many, answers are kept and progress is told."""

_SHARE_OF_HOST = 0.4
_DTYPES = {"bf16": "bfloat16", "fp32": "float32"}


VLLM = _harness_class()


class VllmLM(KeptAnswers, VLLM):  # type: ignore[misc, valid-type]
    """Answers requests; afterwards ``endings`` says how each answer ended."""

    def __init__(self, job: dict[str, Any], tokenizer: Any, *, keeping: Keeping) -> None:
        """Load the model of the job, with its adapter."""
        artefact = None if job["artefact_dir"] is None else Path(job["artefact_dir"])
        rank = max_rank_of(artefact)
        weights = job["model_dir"] if artefact is None or rank is not None else str(artefact)
        options: dict[str, Any] = {}
        if rank is not None:
            options |= {"lora_local_path": str(artefact), "max_lora_rank": rank}
        if _platform().is_cpu():
            # It takes a share of all memory, and compiling takes longer than it saves.
            share = _SHARE_OF_HOST / keeping.sharing.num_processes
            options |= {"gpu_memory_utilization": share, "enforce_eager": True}
        batch_size = job["batch_size"]
        super().__init__(
            pretrained=weights,
            # The base model's own: trainers change special tokens and templates in theirs.
            tokenizer=job["model_dir"],
            dtype=_DTYPES[job["precision"]],
            seed=job["seed"],
            trust_remote_code=job["trust_remote_code"],
            # With `auto` it divides by the time on a progress bar, which is switched off here.
            batch_size=_REQUESTS_PER_REPORT,
            distributed_executor_backend="uni",
            max_num_seqs=256 if batch_size == "auto" else batch_size,
            **options,
        )
        self.tokenizer.chat_template = tokenizer.chat_template
        self.chat_template_args = template_args(job["chat"] and job["chat"]["date"])
        self._outputs: dict[tuple[int, ...], Any] = {}
        self._begin_keeping(keeping)

    @override
    def facts(self) -> dict[str, Any]:
        config = self.model.llm_engine.model_config
        return {
            "batch_size_at_end": self.model_args["max_num_seqs"],
            "max_length": self.max_length,
            "device": str(self.model.llm_engine.vllm_config.device_config.device_type),
            "attention": "vLLM's own",
            "generation": f"vLLM, {config.dtype}".replace("torch.", ""),
            "generation_config": {},
            "add_bos_token": self.add_bos_token,
        }

    @override
    def _answer_requests(self, requests: list[Any], left: list[int], keep: Keep) -> None:
        settings = normalize_gen_kwargs(requests[left[0]].args[1], self.max_gen_toks)
        eos = self.tokenizer.decode(self.eot_token_id)
        self.stop_strings = handle_stop_sequences(settings["until"], eos=eos)
        for numbers in self._portions(left, len(requests), "questions"):
            self._outputs = {}
            batch = [requests[number] for number in numbers]
            texts = VLLM.generate_until(self, batch, disable_tqdm=True)
            for number, text in zip(numbers, texts, strict=True):
                prompt = self.tok_encode(requests[number].args[0])
                keep(number, text, self._ending(prompt, text, requests[number]))

    @override
    def _score_requests(self, requests: list[Any], left: list[int], keep: KeepScore) -> None:
        for numbers in self._portions(left, len(requests), "choices"):
            batch = [requests[number] for number in numbers]
            scored = VLLM.loglikelihood(self, batch, disable_tqdm=True)
            for number, found in zip(numbers, scored, strict=True):
                keep(number, (float(found[0]), bool(found[1])))

    @override
    def _model_generate(self, requests: Any, *arguments: Any, **options: Any) -> Any:
        outputs = super()._model_generate(requests, *arguments, **options)
        for tokens, output in zip(requests, outputs, strict=True):
            self._outputs[tuple(tokens)] = output
        return outputs

    def _portions(self, left: list[int], total: int, unit: str) -> Iterator[list[int]]:
        for start in range(0, len(left), _REQUESTS_PER_REPORT):
            yield left[start : start + _REQUESTS_PER_REPORT]
            num_left = max(0, len(left) - start - _REQUESTS_PER_REPORT)
            self._tell_progress(num_left, total, unit)

    def _ending(self, prompt: list[int], text: str, request: Any) -> Ending:
        """As vLLM tells it; of a prompt that was cut, as far as the text shows."""
        output = self._outputs.get(tuple(prompt))
        if output is None:
            num_tokens = len(self.tok_encode(text))
            cut = num_tokens >= self._max_new_tokens(request)
            return Ending(num_tokens, cut, "token_limit" if cut else "stop_string")
        answer = output.outputs[0]
        hit_limit = answer.finish_reason == "length"
        by_words = isinstance(answer.stop_reason, str)
        reason = "token_limit" if hit_limit else "stop_string" if by_words else "end_token"
        return Ending(len(answer.token_ids), hit_limit, reason, _seconds(output))


def _seconds(output: Any) -> float | None:
    """From the scheduling of the request to its last token, where vLLM keeps times."""
    times = getattr(output, "metrics", None)
    begins = getattr(times, "scheduled_ts", None) or getattr(times, "first_scheduled_time", None)
    ends = getattr(times, "last_token_ts", None) or getattr(times, "finished_time", None)
    return float(ends - begins) if begins and ends else None
