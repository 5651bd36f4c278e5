"""The sentences of a verdict, by language. A further language is one more entry of ``PHRASES``.

Only whole clauses stand here and the values go in by name, so that a translation may order them as
its grammar asks.
"""

from typing import Literal

Language = Literal["en"]

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
    }
}
