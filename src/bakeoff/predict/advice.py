"""What to change in a recipe so that a training fits, the cheapest change first."""

from collections.abc import Callable, Iterator

from bakeoff.predict.duration import flops_per_token
from bakeoff.predict.work import Work
from bakeoff.schema.plan import TrainPlan
from bakeoff.schema.prediction import Change, Prediction
from bakeoff.schema.recipe_train import WHOLE_MOMENTS

Predict = Callable[[TrainPlan], tuple[Work, Prediction]]
"""The memory of a training, changed or not."""

_SHORTEST_TOKENS = 128
"""Below this few rows would be left."""

_Step = tuple[tuple[str, ...], str, bool, TrainPlan]


def advise(plan: TrainPlan, predict: Predict, limit_bytes: int) -> tuple[Change, ...]:
    """Changes that make ``plan`` fit, in the order in which to make them.

    What leaves the result as it is comes first (smaller passes, recomputed activations, a trainer
    that needs less for the same work), then what changes what is learnt a little (QLoRA for LoRA),
    then more (LoRA for full, shorter rows). A change that helps little is left out unless nothing
    else is enough. Empty: nothing known helps.
    """
    base, first = predict(plan)
    made: dict[tuple[str, ...], Change] = {}
    current, needed = plan, first.needed_bytes
    while needed > limit_bytes:
        step = _cheapest(current, predict, needed)
        if step is None:
            return ()
        settings, text, keeps, current = step
        work, prediction = predict(current)
        needed = prediction.needed_bytes
        keys = tuple(setting.partition("=")[0] for setting in settings)
        made.pop(keys, None)  # halved again: the last value is what counts
        made[keys] = Change(
            settings=settings,
            text=text,
            needed_bytes=needed,
            time_factor=round(flops_per_token(work) / flops_per_token(base), 2),
            keeps_result=keeps,
        )
    return tuple(made.values())


def _cheapest(plan: TrainPlan, predict: Predict, needed: int) -> _Step | None:
    """The next change that saves at least a hundredth; the order is that of their price."""
    for step in _possible(plan, predict(plan)[0]):
        if predict(step[3])[1].needed_bytes < 0.99 * needed:
            return step
    return _detour(plan, predict, needed)


def _detour(plan: TrainPlan, predict: Predict, needed: int) -> _Step | None:
    """QLoRA, where it pays only together with shorter rows: its trainers need more for logits."""
    if not _can_be_quantised(plan, predict(plan)[0]):
        return None
    step = _as_qlora(plan)
    shortest = _with(step[3], max_length=_SHORTEST_TOKENS)
    return step if predict(shortest)[1].needed_bytes < needed else None


def _can_be_quantised(plan: TrainPlan, work: Work) -> bool:
    is_lora = plan.method == "lora" and plan.train.precision == "bf16"
    return is_lora and not work.is_on_cpu


def _can_have_8_bit_moments(plan: TrainPlan, work: Work) -> bool:
    """Not on a CPU, where bitsandbytes makes copies in fp32 at each step and is slow."""
    is_usual = plan.train.optimizer == "adamw"
    return is_usual and not work.is_on_cpu and plan.strategy in WHOLE_MOMENTS


def _possible(plan: TrainPlan, work: Work) -> Iterator[_Step]:
    yield from _for_the_same_result(plan)
    yield from _for_nearly_the_same(plan, work)
    longest = min(work.tokens, plan.train.max_length)
    if longest > _SHORTEST_TOKENS:
        shorter = max(_SHORTEST_TOKENS, longest // 2)
        yield (
            (f"train.max_length={shorter}",),
            "leave longer rows out",
            False,
            _with(plan, max_length=shorter),
        )


def _for_the_same_result(plan: TrainPlan) -> Iterator[_Step]:
    train = plan.train
    if train.batch_size > 1 and not train.gradient_checkpointing:
        yield _smaller(plan)
    if not train.gradient_checkpointing:
        yield (
            ("train.gradient_checkpointing=true",),
            "recompute activations in the backward pass",
            True,
            _with(plan, gradient_checkpointing=True),
        )
    if train.batch_size > 1:
        yield _smaller(plan)
    if getattr(train, "memory", "lean") != "lean":
        lean = _with(plan, memory="lean")
        yield ("train.memory=lean",), "as little memory as the same result allows", True, lean
    if plan.backend != "builtin" and _builtin_can(plan):
        other = plan.model_copy(update={"backend": "builtin", "environment_id": None, "extra": {}})
        yield ("backend=builtin",), "logits at label tokens only, a piece at a time", True, other


def _for_nearly_the_same(plan: TrainPlan, work: Work) -> Iterator[_Step]:
    if _can_have_8_bit_moments(plan, work):
        yield (
            ("train.optimizer=adamw-8bit",),
            "keep AdamW's two moments in 8 bits",
            False,
            _with(plan, optimizer="adamw-8bit"),
        )
    if plan.train.precision == "bf16-mixed":
        yield (
            ("train.precision=bf16",),
            "weights, gradients and moments in bf16",
            False,
            _with(plan, precision="bf16"),
        )
    if plan.method == "full":
        yield _as_lora(plan)
    if _can_be_quantised(plan, work):
        yield _as_qlora(plan)


def _builtin_can(plan: TrainPlan) -> bool:
    starts_elsewhere = plan.lora is not None and plan.lora.init != "default"
    return plan.method in ("lora", "full", "freeze") and not starts_elsewhere


def _smaller(plan: TrainPlan) -> _Step:
    rows = plan.train.batch_size
    half = rows // 2 if rows % 2 == 0 else 1
    passes = plan.train.gradient_accumulation * rows // half
    return (
        (f"train.batch_size={half}", f"train.gradient_accumulation={passes}"),
        "fewer rows at a time, as many a step",
        True,
        _with(plan, batch_size=half, gradient_accumulation=passes),
    )


def _as_lora(plan: TrainPlan) -> _Step:
    from bakeoff.schema.recipe_train import LoraSpec  # noqa: PLC0415

    changed = plan.model_copy(update={"method": "lora", "lora": plan.lora or LoraSpec()})
    return (("method=lora",), "train an adapter instead of all weights", False, changed)


def _as_qlora(plan: TrainPlan) -> _Step:
    backend = "llamafactory" if plan.backend == "builtin" else plan.backend
    settings: tuple[str, ...] = ("method=qlora",)
    if backend != plan.backend:
        settings = (*settings, f"backend={backend}")
    changed = plan.model_copy(update={"method": "qlora", "backend": backend})
    return (settings, "keep the frozen weights in 4 bits", False, changed)


def _with(plan: TrainPlan, **changes: object) -> TrainPlan:
    return plan.model_copy(update={"train": plan.train.model_copy(update=changes)})
