"""What holding frameworks side by side came to, in sentences for reports and terminals.

Every ratio says what it is of, and how many runs stand behind it.
"""

from collections.abc import Iterator, Sequence

from bakeoff.compare import numbers
from bakeoff.compare.comparable import other_work
from bakeoff.compare.frameworks import (
    Figure,
    Ratio,
    Score,
    SideBySide,
    Trainer,
    pairs,
    ratio,
    same_batches,
)
from bakeoff.compare.names import BUILTIN, name_cell, varying_axes
from bakeoff.compare.phrases import PHRASES, Voice
from bakeoff.compare.verdict import capitalised, verdict
from bakeoff.schema.figures import peak_memory
from bakeoff.schema.record import Record

_BUSY = 1.5
"""A load average above so many times the processors means that others wanted them too."""


def train_seconds(record: Record) -> float | None:
    return record.measurement.train_seconds if record.measurement else None


def peak_bytes(record: Record) -> float | None:
    return peak_memory(record.measurement)[0]


def headings(sides: Sequence[SideBySide]) -> list[str]:
    """What tells the cells apart: `LoRA`, `full fine-tuning, batch_size 8`."""
    axes = varying_axes([side.cell for side in sides])
    return [name_cell(side.cell, axes) for side in sides]


def in_text(trainer: Trainer) -> str:
    """With the article that English wants: `the built-in trainer`."""
    return f"the {trainer.title}" if trainer.backend == BUILTIN else trainer.title


def summary(side: SideBySide) -> list[str]:
    """Same work or not, what each cost, how the scores differ: a line each."""
    lines = [same_work(side), unlike_work(side), costs(side), *_score_lines(side)]
    return [line for line in lines if line]


def same_work(side: SideBySide) -> str:
    """Whether all trained on the same token ids and labels; empty with nothing to compare."""
    if not side.others:
        return ""
    found = {trainer.title: same_batches(trainer, side.reference) for trainer in side.others}
    unlike = [title for title, same in found.items() if same is False]
    if unlike:
        return (
            f"{_listed(unlike)} did not train on the token ids and labels of "
            f"{in_text(side.reference)}: what follows compares different work."
        )
    unknown = [title for title, same in found.items() if same is None]
    if unknown:
        return (
            f"It is not known whether {_listed(unknown)} trained on the token ids and labels of "
            f"{in_text(side.reference)}."
        )
    number = len(found) + 1
    who = {2: "Both", 3: "All three"}.get(number, f"All {number}")
    return f"{who} trained on the same token ids and labels, in the same order."


def unlike_work(side: SideBySide) -> str:
    """What else makes times and memory those of different work; empty where nothing does."""
    found: dict[str, dict[str, None]] = {}
    for trainer in side.others:
        for own, other in pairs(trainer, side.reference):
            for words, ours, theirs in other_work(own, other):
                text = f"{trainer.title} {_plain(ours)}, {in_text(side.reference)} {_plain(theirs)}"
                found.setdefault(words, {})[text] = None
    if not found:
        return ""
    listed = "; ".join(f"the {words} ({'; '.join(texts)})" for words, texts in found.items())
    return f"Not the same for all, so that times and memory are of different work: {listed}."


def _plain(value: object) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "none" if value is None else str(value)


def costs(side: SideBySide) -> str:
    """Time and memory in multiples of the reference's, with what the multiples rest on."""
    parts = []
    pairs = 0
    for what, figure in (("training time", train_seconds), ("peak memory", peak_bytes)):
        found = {trainer.title: _ratio(trainer, side.reference, figure) for trainer in side.others}
        known = {title: one for title, one in found.items() if one is not None}
        if known:
            listed = ", ".join(f"{title} {ratio_text(one)}" for title, one in known.items())
            parts.append(f"{what}: {listed}")
            pairs = max(pairs, *(one.num_pairs for one in known.values()))
    if not parts:
        return ""
    text = f"In multiples of {in_text(side.reference)}'s, {'; '.join(parts)} ({basis(pairs)})."
    return f"{text} {busy}" if (busy := _busy_machine(side)) else text


def _ratio(trainer: Trainer, reference: Trainer, figure: Figure) -> Ratio | None:
    if figure is peak_bytes and len(counters((trainer, reference))) > 1:
        return None
    return ratio(trainer, reference, figure)


def counters(trainers: Sequence[Trainer]) -> set[str]:
    """Where their peak memory was read; figures of two places are not compared."""
    found = (peak_memory(r.measurement)[1] for t in trainers for r in t.trainings)
    return {counter for counter in found if counter}


def ratio_text(found: Ratio) -> str:
    """`1.38`, with several pairs `1.38 (1.31 to 1.44)`."""
    text = f"{found.median:.2f}"
    return text if found.num_pairs < 2 else f"{text} ({found.low:.2f} to {found.high:.2f})"


def basis(num_pairs: int) -> str:
    if num_pairs < 2:
        return "one run each, so how far a repetition would differ is not known"
    return f"median of {num_pairs} pairs of runs with the same seed, and the lowest and highest"


def _busy_machine(side: SideBySide) -> str:
    """Only where the CPU trains: a GPU waits for nobody else's work on the processors."""
    trainings = [record for trainer in side.trainers for record in trainer.trainings]
    on_cpu = [record for record in trainings if not record.provenance.hardware.get("gpus")]
    busiest = max((load for record in on_cpu if (load := _too_much_load(record))), default=None)
    if busiest is None:
        return ""
    return (
        f"The machine had more to do than this study (a load of {busiest:.1f}), so these times are "
        "rough."
    )


def _too_much_load(record: Record) -> float | None:
    """The load average at an end of the training that one training alone does not explain."""
    cores = record.provenance.hardware.get("num_usable_cpu_cores")
    noise = record.measurement.noise if record.measurement else {}
    loads = (noise.get(f"load_average_1m_at_{end}") for end in ("start", "end"))
    found = max((load for load in loads if load is not None), default=0.0)
    return found if cores and found > _BUSY * cores else None


def _score_lines(side: SideBySide) -> Iterator[str]:
    for asked in _asked(side):
        listed = ", ".join(
            f"{_title(side, score)} {_difference_text(score)}"
            for score in side.scores
            if score.difference is not None and (score.task, score.num_fewshot) == asked
        )
        if listed:
            yield f"{_of_asked(side, asked)}, in points to {in_text(side.reference)}: {listed}."


def _asked(side: SideBySide) -> list[tuple[str, int]]:
    return list(dict.fromkeys((score.task, score.num_fewshot) for score in side.scores))


def _of_asked(side: SideBySide, asked: tuple[str, int]) -> str:
    """`Accuracy`, or which of several."""
    every = _asked(side)
    parts = ["Accuracy"]
    if len({task for task, _ in every}) > 1:
        parts.append(asked[0])
    if len({shots for _, shots in every}) > 1:
        parts.append(f"{asked[1]}-shot")
    return " ".join(parts)


def score_label(side: SideBySide, score: Score) -> str:
    return _of_asked(side, (score.task, score.num_fewshot))


def _difference_text(score: Score) -> str:
    text = numbers.points(score.difference)
    if score.interval is not None:
        text += f" (95 % interval {_interval(score)}"
        p = "" if score.paired is None else f", {numbers.p_phrase(score.p_adjusted)}"
        text += f"{p})"
    return text


def _interval(score: Score) -> str:
    if score.interval is None:
        return numbers.MISSING
    low, high = score.interval.low, score.interval.high
    return f"{numbers.points(low, signed=False)} to {numbers.points(high, signed=False)}"


def score_verdicts(side: SideBySide, num_tests: int, voice: Voice) -> list[str]:
    """Each difference in whole sentences, with what the test could have shown."""
    several = len(_asked(side)) > 1
    return [
        f"{score_label(side, score)}: {text}" if several else text
        for score in side.scores
        if (text := _verdict(side, score, num_tests, voice))
    ]


def _verdict(side: SideBySide, score: Score, num_tests: int, voice: Voice) -> str:
    words = PHRASES[voice.language]
    model, baseline = (
        words["model_from"].format(trainer=voice.name(title))
        for title in (_title(side, score), in_text(side.reference))
    )
    if score.paired is not None:
        return verdict(
            score.paired,
            names=(model, baseline),
            p_adjusted=score.p_adjusted,
            num_tests=num_tests,
            language=voice.language,
        )
    if score.difference is None or score.interval is None or score.reference_accuracy is None:
        return ""
    low, high = score.interval.low, score.interval.high
    # A difference for the worse is told as a better one is: by its sign.
    text = words["undecided" if low <= 0 <= high else "better"].format(
        answers=words["over_seeds"].format(
            model=capitalised(model),
            model_share=numbers.percent(score.reference_accuracy + score.difference),
            num_seeds=len(score.accuracies),
            baseline=baseline,
            baseline_share=numbers.percent(score.reference_accuracy),
        ),
        shown=words["shown_over_seeds"].format(
            difference=numbers.points(score.difference),
            low=numbers.points(low, signed=False),
            high=numbers.points(high, signed=False),
        ),
    )
    return text + words["stop"]


def _title(side: SideBySide, score: Score) -> str:
    return next(trainer.title for trainer in side.trainers if trainer.backend == score.backend)


def _listed(words: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(words[:-1]), words[-1])))
