"""Does llama.cpp say what the model says? The same questions to both, word by word."""

import json
import urllib.request
from pathlib import Path
from typing import Any

import torch

from bakeoff.worker.failures import JobError
from bakeoff.worker.lm_model import load_model, load_tokenizer
from bakeoff.worker.machine import choose_device, write_json_atomic

_QUESTIONS = (
    "Tom has 12 apples and buys 7 more. How many apples has he now?",
    "小明有12个苹果，又买了7个。他现在有几个苹果？",
)
_NUM_TOKENS = 16
_CONTEXT = 1024
_LEAST_SHARE = 0.8
"""Of equal choices, below which a file of half or whole precision is not the model: rounding
changes a choice only where two words are about equally likely."""


def main(job: dict[str, Any]) -> None:
    """Do the job ``{"model_dir", "gguf", "is_rounded", "trust_remote_code"}``.

    ``is_rounded``: below eight bits, where another choice is no sign of a mistake.

    Raises:
        JobError: llama.cpp cannot read the file, or reads questions or chooses words otherwise.
    """
    trust = bool(job["trust_remote_code"])
    tokenizer = load_tokenizer(Path(job["model_dir"]), trust_remote_code=trust)
    answers = _ask(Path(job["gguf"]), [_prompt(tokenizer, text) for text in _QUESTIONS], tokenizer)
    facts = _compare(answers, Path(job["model_dir"]), trust_remote_code=trust)
    if not job["is_rounded"] and facts["share_of_equal_choices"] < _LEAST_SHARE:
        raise JobError(
            f"llama.cpp chooses the model's next word at {facts['share_of_equal_choices']:.0%} of "
            f"{facts['num_choices']} positions only; the file is not the model"
        )
    same = all(answer["same_prompt"] for answer in answers)
    write_json_atomic(Path("result.json"), {**facts, "is_asked_the_same": same})


def _prompt(tokenizer: Any, question: str) -> str | None:
    if tokenizer.chat_template is None:
        return None
    turns = [{"role": "user", "content": question}]
    text: str = tokenizer.apply_chat_template(turns, tokenize=False, add_generation_prompt=True)
    return text


def _ask(gguf: Path, prompts: list[str | None], tokenizer: Any) -> list[dict[str, Any]]:
    import xllamacpp

    params = xllamacpp.CommonParams()
    params.model.path = str(gguf)
    params.n_ctx, params.n_parallel, params.warmup = _CONTEXT, 1, False
    params.n_gpu_layers = 0
    try:
        server = xllamacpp.Server(params)
    except Exception as error:
        raise JobError(f"llama.cpp cannot read the file: {error}") from error
    return [
        _answer(server, prompt, question, tokenizer)
        for prompt, question in zip(prompts, _QUESTIONS, strict=True)
    ]


def _answer(server: Any, prompt: str | None, question: str, tokenizer: Any) -> dict[str, Any]:
    text = question if prompt is None else prompt
    ids = tokenizer(text, add_special_tokens=False)["input_ids"]
    read = _post(server, "/tokenize", {"content": text, "parse_special": True})["tokens"]
    if read != ids:
        raise JobError(
            f"llama.cpp reads {text!r} as the tokens {read}, the model's tokenizer as {ids}"
        )
    asked = {"prompt": ids, "n_predict": _NUM_TOKENS, "temperature": 0, "n_probs": 1}
    answer = _post(server, "/completion", {**asked, "return_tokens": True})
    told = [float(step["logprob"]) for step in answer["completion_probabilities"]]
    return {
        "ids": ids,
        "said": answer["tokens"],
        # It tells none for the first tokens of a character that is spread over several.
        "log_probabilities": told if len(told) == len(answer["tokens"]) else None,
        "same_prompt": prompt is None or _is_put(server, prompt, question, tokenizer),
    }


def _is_put(server: Any, prompt: str, question: str, tokenizer: Any) -> bool:
    """Whether llama.cpp makes the same text of the chat template, its first token aside."""
    chat = {"messages": [{"role": "user", "content": question}]}
    put: str = _post(server, "/apply-template", chat)["prompt"]
    begin = tokenizer.bos_token or ""
    return put.removeprefix(begin) == prompt.removeprefix(begin)


def _post(server: Any, path: str, content: dict[str, Any]) -> Any:
    request = urllib.request.Request(  # noqa: S310 - this process's own server
        server.listening_address + path,
        json.dumps(content).encode(),
        {"content-type": "application/json"},
    )
    direct = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with direct.open(request, timeout=60) as response:
        return json.load(response)


@torch.no_grad()
def _compare(
    answers: list[dict[str, Any]], model_dir: Path, *, trust_remote_code: bool
) -> dict[str, Any]:
    """What the model itself thinks of each token that llama.cpp said."""
    model = load_model(
        model_dir,
        None,
        precision="fp32",
        device=choose_device("cpu"),
        trust_remote_code=trust_remote_code,
    )
    equal, apart = [], []
    for answer in answers:
        ids = torch.tensor([answer["ids"] + answer["said"]])
        logits = model(input_ids=ids).logits[0, len(answer["ids"]) - 1 : -1].float()
        said = torch.tensor(answer["said"])
        equal.append(logits.argmax(-1) == said)
        if answer["log_probabilities"] is not None:
            ours = logits.log_softmax(-1).gather(1, said[:, None])[:, 0]
            apart.append((ours - torch.tensor(answer["log_probabilities"])).abs())
    return {
        "num_choices": int(sum(len(one) for one in equal)),
        "share_of_equal_choices": float(torch.cat(equal).float().mean()),
        "mean_log_probability_difference": float(torch.cat(apart).mean()) if apart else None,
    }
