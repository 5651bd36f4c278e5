"""What an exception means for the person who started the run."""

_MEMORY_PHRASES = (
    "out of memory",
    "can't allocate memory",
    "cannot allocate memory",
    "not enough memory",
    "CUBLAS_STATUS_ALLOC_FAILED",
)
_TRAIN_LOWER = (
    "Lower `train.batch_size` (and raise `train.gradient_accumulation` by as much), lower "
    "`train.max_length`, set `train.gradient_checkpointing: true`, or use `method: lora`."
)
_LOWER = {
    "train": _TRAIN_LOWER,
    "framework": _TRAIN_LOWER,
    "evaluate": "Lower `evaluate.batch_size` or `evaluate.max_new_tokens`.",
}
_CLOSE = "Close other programs and try again."


class JobError(Exception):
    """The job cannot be done as it was asked; the message says what to change."""


def classify(error: BaseException, kind: str) -> tuple[str, str]:
    """Status of a run that ended with ``error``, and the sentence for its record."""
    if is_out_of_memory(error):
        first_line = str(error).strip().partition("\n")[0]
        what = f" ({first_line})" if first_line else ""
        return "out_of_memory", f"The memory did not suffice{what}. {_LOWER.get(kind, _CLOSE)}"
    if isinstance(error, JobError):
        return "failed", str(error)
    return "failed", f"{type(error).__name__}: {error}"


def is_out_of_memory(error: BaseException) -> bool:
    """Whether memory of any kind ran out: CUDA, MPS, the CPU allocator of torch, or Python.

    Told by name and text, so that it works when torch itself could not be imported.
    """
    if isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError":
        return True
    text = str(error).lower()
    return isinstance(error, (RuntimeError, OSError)) and any(
        phrase.lower() in text for phrase in _MEMORY_PHRASES
    )
