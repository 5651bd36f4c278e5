"""What is searched for each method when a recipe names no space, and who says so.

Few settings on purpose: twenty trials cannot tell ten settings apart, and the learning rate comes
first in every source. What none of them found to matter (alpha beside the rate, dropout for short
trainings) is left at the recipe's value.
"""

from bakeoff.schema.recipe_search import Dimension
from bakeoff.schema.recipe_train import Method

_ADAPTER_RATE = Dimension(
    low=5e-5,
    high=5e-3,
    log=True,
    source="Biderman et al. 2024 (arXiv:2405.09673) sweep 1e-5 to 5e-4 at 7B; Schulman et al. 2025 "
    "(LoRA Without Regret) find about ten times the rate of full fine-tuning, 1e-3 at 1B, more for "
    "smaller models",
)
_RANK = Dimension(
    choices=(8, 16, 32, 64),
    source="LoRA Without Regret: the best rate moves less than twofold from rank 4 to 512, so that "
    "the rank decides capacity and cost",
)
_BATCH = Dimension(
    choices=(4, 8, 16),
    source="LoRA Without Regret: LoRA loses at large batches; arXiv:2602.09492: the best batch "
    "differs between LoRA and full fine-tuning",
)
_FULL_RATE = Dimension(
    low=5e-6,
    high=5e-4,
    log=True,
    source="a tenth of LoRA's range (LoRA Without Regret); LLaMA-Factory and ms-swift default to "
    "1e-5, torchtune to 2e-5",
)
_DECAY = Dimension(
    choices=(0.0, 0.01, 0.1),
    source="0.01 is torch's AdamW, 0.1 that of pre-training and of ms-swift",
)

_ADAPTER = {
    "train.learning_rate": _ADAPTER_RATE,
    "lora.rank": _RANK,
    "train.batch_size": _BATCH,
}
_FULL = {
    "train.learning_rate": _FULL_RATE,
    "train.batch_size": _BATCH,
    "train.weight_decay": _DECAY,
}
DEFAULT_SPACES: dict[Method, dict[str, Dimension]] = {
    "lora": _ADAPTER,
    "qlora": _ADAPTER,
    "full": _FULL,
    "freeze": _FULL,
}
