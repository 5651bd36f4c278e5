"""A real model that is small enough for a test: random weights, real classes, a real tokenizer."""

from pathlib import Path

QUESTIONS = [
    "Tom has {a} apples and buys {b} more. How many apples has he now?",
    "小明有{a}个苹果，又买了{b}个。他现在有几个苹果？",
]
ANSWER = "{a} + {b} = {c}\n#### {c}"


def rows(number: int, *, start: int = 0) -> list[dict[str, str]]:
    """Distinct questions in GSM8K's form, half of them Chinese."""
    made = []
    for index in range(start, start + number):
        values = {"a": index, "b": index + 1, "c": 2 * index + 1}
        question = QUESTIONS[index % 2].format(**values)
        made.append({"question": question, "answer": ANSWER.format(**values)})
    return made


def make_tiny_model(folder: Path) -> Path:
    """A two-layer Llama over a byte-level vocabulary, saved as any checkpoint."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<|end|>", "<|pad|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(
        [f"Question: {row['question']}\nAnswer: {row['answer']}" for row in rows(60)], trainer
    )
    fast = PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, eos_token="<|end|>", pad_token="<|pad|>"
    )
    fast.save_pretrained(folder)
    torch.manual_seed(0)
    config = LlamaConfig(
        vocab_size=len(fast),
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=512,
        eos_token_id=fast.eos_token_id,
        pad_token_id=fast.pad_token_id,
        bos_token_id=None,
        tie_word_embeddings=True,
    )
    LlamaForCausalLM(config).save_pretrained(folder)
    return folder
