"""Asks a model the questions of one lm-evaluation-harness task and keeps every answer.

Reads a job (see ``bakeoff.evals.hf``), works in the current folder, writes ``samples.jsonl`` and,
last, ``result.json`` in the shape of ``bakeoff.schema.results.EvalResult``. An evaluation that is
finished stays as it is.
"""

import contextlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from bakeoff.worker.events import Events
from bakeoff.worker.machine import (
    choose_device,
    import_libraries,
    set_seeds,
    write_environment,
    write_json_atomic,
)

RESULT = "result.json"

_WORRYING_SHARE_AT_LIMIT = 0.1
_WORRYING_SHARE_WITHOUT_ANSWER = 0.5


def main(job: dict[str, Any]) -> None:
    if _is_finished():
        return
    with contextlib.closing(Events(Path("events.jsonl"))) as events, _own_datasets_cache(job):
        _evaluate(job, events)


def _is_finished() -> bool:
    """Whether a result is here with every answer that it counts.

    The answers are not forced to disk before the result is: after a power cut they may be torn.
    """
    from bakeoff.worker.lm_samples import SAMPLES_FILE

    try:
        result = json.loads(Path(RESULT).read_text(encoding="utf-8"))
        with Path(SAMPLES_FILE).open(encoding="utf-8") as file:
            num_samples = len([json.loads(line) for line in file])
        return all(score["num_samples"] == num_samples for score in result["scores"])
    except (FileNotFoundError, ValueError):
        return False


def _evaluate(job: dict[str, Any], events: Events) -> None:
    from bakeoff.worker.lm_answers import AnsweringLM
    from bakeoff.worker.lm_batches import BatchedLM
    from bakeoff.worker.lm_merge import merge
    from bakeoff.worker.lm_model import load_model, load_tokenizer

    environment = write_environment(Path())
    device = choose_device(job["device"])
    set_seeds(job["seed"])
    import_libraries(with_adapter=job["artefact_dir"] is not None)
    events.phase("load_data")
    task, manager = _load_task(job, events)
    events.phase("load_model")
    model_dir, artefact_dir = Path(job["model_dir"]), job["artefact_dir"]
    model = load_model(
        model_dir,
        None if artefact_dir is None else Path(artefact_dir),
        precision=job["precision"],
        device=device,
        trust_remote_code=job["trust_remote_code"],
    )
    chat, merge_facts = job["chat"], None
    tokenizer = load_tokenizer(model_dir, trust_remote_code=job["trust_remote_code"], chat=chat)
    if job["merged"] and _has_adapter(model):
        model, merge_facts = merge(model, tokenizer)
    lm = {"hf": BatchedLM, "builtin": AnsweringLM}[job["engine"]](
        model,
        tokenizer,
        batch_size=job["batch_size"],
        events=events,
        chat_date=chat and chat["date"],
    )
    events.phase("evaluate")
    results = _ask(job, task, manager, lm)
    events.phase("save")
    result = _write_samples(job, results, task, lm, events)
    if merge_facts is None and _has_adapter(model):
        # Last, for it changes the model that was asked.
        merge_facts = _try_to_merge(model, tokenizer, events)
    if merge_facts is not None:
        result["effective"]["merged_logits"] = _told(merge_facts, events)
    write_json_atomic(Path(RESULT), {**result, **environment})


def _has_adapter(model: Any) -> bool:
    return hasattr(model, "peft_config")


def _try_to_merge(model: Any, tokenizer: Any, events: Events) -> Any:
    """A check that fails must not cost the answers, which are all there."""
    from bakeoff.worker.lm_merge import merge

    try:
        return merge(model, tokenizer)[1]
    except Exception as error:  # noqa: BLE001 - memory, or what PEFT cannot fold in
        events.warning(
            f"Whether the merged model would answer alike is not known: merging failed ({error})."
        )
        return None


def _told(facts: Any, events: Events) -> dict[str, float]:
    if not facts.is_same:
        events.warning(
            f"Merging the adapter into the weights changes the logits by "
            f"{facts.relative_difference:.1%} (expected: at most {facts.tolerance:.1%}), and the "
            f"next token at {1 - facts.share_of_equal_choices:.1%} of the places: a merged export "
            "is not the model that was scored."
        )
    return {
        "relative_difference": facts.relative_difference,
        "share_of_equal_choices": facts.share_of_equal_choices,
    }


@contextlib.contextmanager
def _own_datasets_cache(job: dict[str, Any]) -> Iterator[None]:
    """Keep what `datasets` makes of our own rows in this folder, for as long as it is needed.

    The data of the harness's own tasks come from a hub and stay in the cache of the person.
    """
    import datasets  # type: ignore[import-untyped]

    if job["task_dir"] is None:
        yield
        return
    usual = datasets.config.HF_DATASETS_CACHE
    # Windows cannot delete a file that is still mapped into memory: such a rest may stay.
    with tempfile.TemporaryDirectory(
        dir=Path.cwd(), prefix=".datasets-", ignore_cleanup_errors=True
    ) as folder:
        datasets.config.HF_DATASETS_CACHE = Path(folder)
        try:
            yield
        finally:
            datasets.config.HF_DATASETS_CACHE = usual


def _load_task(job: dict[str, Any], events: Events) -> tuple[Any, Any]:
    from bakeoff.worker.lm_task import (
        keep_test_out_of_examples,
        load_task,
        require_single_questions,
    )

    task, manager = load_task(
        job["task"], None if job["task_dir"] is None else Path(job["task_dir"])
    )
    if job["chat"] is not None and job["task_dir"] is not None:
        require_single_questions(task)
    num_left_out = keep_test_out_of_examples(task, job["num_fewshot"])
    if num_left_out:
        events.warning(
            f"{num_left_out} rows of the few-shot split ask a question of the scored split; none "
            "of them is used as a worked example."
        )
    return task, manager


def _ask(job: dict[str, Any], task: Any, manager: Any, lm: Any) -> dict[str, Any]:
    import lm_eval

    seed, chat = job["seed"], job["chat"]
    generates = task.OUTPUT_TYPE == "generate_until"
    results = lm_eval.simple_evaluate(
        model=lm,
        tasks=[task],
        task_manager=manager,
        num_fewshot=job["num_fewshot"],
        limit=job["limit"],
        gen_kwargs={"max_gen_toks": job["max_new_tokens"]} if generates else None,
        log_samples=True,
        apply_chat_template=chat is not None,
        fewshot_as_multiturn=True,
        system_instruction=chat and chat["system"],
        random_seed=seed,
        numpy_random_seed=seed,
        torch_random_seed=seed,
        fewshot_random_seed=seed,
    )
    return dict(results)


def _write_samples(
    job: dict[str, Any], results: dict[str, Any], task: Any, lm: Any, events: Events
) -> dict[str, Any]:
    """Keep the answers; give what the result says about them."""
    from bakeoff.worker.lm_samples import SAMPLES_FILE, make_scores, merge_samples, write_samples

    name = job["task"]
    samples = merge_samples(results["samples"][name], task, lm.endings)
    write_samples(Path(SAMPLES_FILE), samples)
    effective = _effective(job, results, lm, samples)
    _warn(effective, events)
    counts = [sample["num_output_tokens"] for sample in samples]
    return {
        "scores": make_scores(
            results["results"][name],
            label=job["task_label"],
            num_fewshot=results["n-shot"][name],
            num_samples=len(samples),
            engine=job["engine"],
        ),
        "effective": effective,
        "num_generated_tokens": None if None in counts else sum(counts),
    }


def _effective(
    job: dict[str, Any], results: dict[str, Any], lm: Any, samples: list[dict[str, Any]]
) -> dict[str, Any]:
    """Every setting that was really used, and what it did to the answers."""
    from bakeoff.worker.lm_samples import share_at_limit, shares_without_answer

    name = job["task"]
    config = {
        key: value
        for key, value in results["configs"][name].items()
        if key not in ("dataset_kwargs", "metadata")
    }
    return {
        "task": job["task_label"],
        "task_version": results["versions"][name],
        "task_config": _plain(config),
        "stop_strings": lm.stop_strings,
        "num_fewshot": results["n-shot"][name],
        "fewshot_seed": job["seed"],
        "seed": job["seed"],
        "limit": job["limit"],
        "batch_size": job["batch_size"],
        "batch_size_at_end": lm.batch_size,
        "max_new_tokens": job["max_new_tokens"],
        "max_length": lm.max_length,
        "precision": job["precision"],
        "merged": job["merged"],
        "device": lm.device.type,
        "attention": lm.config._attn_implementation,
        "generation": lm.generation,
        "generation_config": _plain(lm.model.generation_config.to_diff_dict()),
        "add_bos_token": lm.add_bos_token,
        "prompt_template": job["prompt_template"],
        "chat_template": lm.tokenizer.chat_template if job["chat"] else None,
        "system_prompt": job["chat"] and job["chat"]["system"],
        "lm_eval_version": results["lm_eval_version"],
        "share_at_token_limit": share_at_limit(samples),
        "share_without_answer": shares_without_answer(samples),
    }


def _plain(value: Any) -> Any:
    """``value`` with what JSON cannot hold as text."""
    return json.loads(json.dumps(value, default=str))


def _warn(effective: dict[str, Any], events: Events) -> None:
    at_limit = effective["share_at_token_limit"]
    if at_limit is not None and at_limit > _WORRYING_SHARE_AT_LIMIT:
        events.warning(
            f"{at_limit:.0%} of the answers were cut at {effective['max_new_tokens']} tokens, so "
            "that a right answer may be missing. Raise `evaluate.max_new_tokens`."
        )
    for name, share in effective["share_without_answer"].items():
        if share > _WORRYING_SHARE_WITHOUT_ANSWER:
            events.warning(
                f"The filter `{name}` found no answer in {share:.0%} of the outputs: its score "
                "says more about the form of the answers than about their content."
            )
