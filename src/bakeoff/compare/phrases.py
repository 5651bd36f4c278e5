"""The sentences of a verdict, by language. A further language is one more entry of ``PHRASES``.

Only whole clauses stand here and the values go in by name, so that a translation may order them as
its grammar asks.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

Language = Literal["en", "zh"]


@dataclass(frozen=True)
class Voice:
    """In which language verdicts are told, and what a run's name is in it."""

    language: Language
    name: Callable[[str], str]


ENGLISH = Voice("en", str)

PHRASES: dict[Language, dict[str, str]] = {
    "en": {
        "answers": (
            "{model} answers {model_share} of {num_items} questions right, "
            "{baseline} {baseline_share}"
        ),
        "shown": "{difference} points (95 % interval {low} to {high}, {p})",
        "no_interval": "{difference} points ({p})",
        "better": "{answers}: {shown}",
        "worse": "{answers}: {shown}, so it got worse",
        "undecided": "{answers}: {shown}, which may be chance",
        "adjusted": ", corrected for {num_tests} tests",
        "could_show": "This test could have shown a difference of {smallest} points or more",
        "could_show_nothing": "So few questions cannot show any difference",
        "more_items": (
            "; about {num_items} questions, {num_more} more, would decide one of the size seen"
        ),
        "one_seed": "with one seed this compares two checkpoints, not two methods",
        "some_seeds": "this is one of {num_seeds} seeds",
        "seeds": (
            "{model} answers {mean} right on average over {num_seeds} seeds "
            "(standard deviation {spread} points)"
        ),
        "seeds_gain": (
            ": {difference} points to the base model, 95 % interval {low} to {high} with seeds "
            "and questions both drawn again"
        ),
        "model_from": "the model from {trainer}",
        "over_seeds": (
            "{model} answers {model_share} right on average over {num_seeds} seeds, "
            "{baseline} {baseline_share}"
        ),
        "shown_over_seeds": (
            "{difference} points (95 % interval {low} to {high} with seeds and questions both "
            "drawn again)"
        ),
        "format_mostly": (
            "{model} gains {strict} points when the answer must have the expected form, "
            "{flexible} when any last number counts: {form} points of the gain are form "
            "only, at most {better} are better answers."
        ),
        "format_none": (
            "{model} gains {strict} points when the answer must have the expected form, and "
            "{flexible} points when any last number counts: none of the gain is form only."
        ),
        "format_no_gain": (
            "{model} changes by {strict} points when the answer must have the expected form, and "
            "by {flexible} points when any last number counts."
        ),
        "format_all": (
            "{model} gains {strict} points when the answer must have the expected form, but "
            "{flexible} points when any last number counts: all of the gain is form, not better "
            "answers."
        ),
        "stop": ".",
        "semicolon": "; ",
        "space": " ",
    },
    "zh": {
        "answers": (
            "{model}答对了 {num_items} 题中的 {model_share}，{baseline}答对 {baseline_share}"
        ),
        "shown": "{difference} 个百分点（95 % 置信区间 {low} 到 {high}，{p}）",
        "no_interval": "{difference} 个百分点（{p}）",
        "better": "{answers}：{shown}",
        "worse": "{answers}：{shown}，变差了",
        "undecided": "{answers}：{shown}，可能只是偶然",
        "adjusted": "，已对 {num_tests} 次检验作校正",
        "could_show": "这次检验能发现的最小差异约为 {smallest} 个百分点",
        "could_show_nothing": "题目太少，显示不出任何差异",
        "more_items": "；若真实差异就是这么大，约需 {num_items} 题（再加 {num_more} 题）才能判定",
        "one_seed": "只有一个随机种子，比较的是两个检查点，而不是两种方法",
        "some_seeds": "这是 {num_seeds} 个随机种子之一",
        "seeds": "{model}在 {num_seeds} 个随机种子上平均答对 {mean}（标准差 {spread} 个百分点）",
        "seeds_gain": (
            "：比基座模型高 {difference} 个百分点，"
            "对种子和题目都重新抽样的 95 % 置信区间为 {low} 到 {high}"
        ),
        "model_from": "{trainer}训练的模型",
        "over_seeds": (
            "{model}在 {num_seeds} 个随机种子上平均答对 {model_share}，{baseline}答对 "
            "{baseline_share}"
        ),
        "shown_over_seeds": (
            "{difference} 个百分点（对种子和题目都重新抽样的 95 % 置信区间为 {low} 到 {high}）"
        ),
        "format_mostly": (
            "要求规定格式时，{model}提高 {strict} 个百分点；只看最后一个数字时提高 {flexible}："
            "其中 {form} 个百分点只是格式，最多 {better} 个百分点是答得更好。"
        ),
        "format_none": (
            "要求规定格式时，{model}提高 {strict} 个百分点；只看最后一个数字时提高 {flexible}："
            "提高全都不是格式造成的。"
        ),
        "format_no_gain": (
            "要求规定格式时，{model}变化 {strict} 个百分点；只看最后一个数字时变化 {flexible}。"
        ),
        "format_all": (
            "要求规定格式时，{model}提高 {strict} 个百分点；但只看最后一个数字时为 {flexible}："
            "提高的全是格式，答案并没有更好。"
        ),
        "stop": "。",
        "semicolon": "；",
        "space": "",
    },
}
