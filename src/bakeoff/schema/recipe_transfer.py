"""How the experiment of `bakeoff transfer` is done and judged."""

from typing import Annotated, Self

from pydantic import Field, model_validator

from bakeoff.schema.recipe_part import Count, Positive, RecipePart


class TransferSpec(RecipePart):
    """How `bakeoff transfer` judges.

    The recipe is a matrix over `train.learning_rate`, `method` and `seed`, and over whatever else
    (`lora.rank`, `train.batch_size`, ...) is to be transferred.
    """

    score_seeds: tuple[int, ...] = (100, 101, 102)
    """Seeds with which the chosen rates are scored, none of them a seed of the grid: choosing and
    scoring on the same seeds would favour what was lucky."""

    published_ratio: Annotated[float, Field(gt=0)] = 10.0
    """Best rate of LoRA over that of full fine-tuning, as the literature has it."""

    within_factor: Annotated[float, Field(gt=1)] = 2.0
    """How far the ratio may be from the published one and still count as the same."""

    default_rate: Annotated[float, Field(gt=0, le=1)] = 1e-5
    """What full fine-tuning gets from somebody who tunes nothing: the default of LLaMA-Factory and
    ms-swift."""

    margin: Annotated[float, Field(gt=0)] = 0.01
    """A loss per token that is higher by less counts as none."""

    max_extensions: Count = 3
    """So many further rates beyond an edge that holds the best one, when asked to extend."""

    num_resamples: Positive = 4_000
    """Of each bootstrap."""

    @model_validator(mode="after")
    def _seeds_once(self) -> Self:
        if len(set(self.score_seeds)) < len(self.score_seeds):
            raise ValueError("each of `score_seeds` only once")
        return self
