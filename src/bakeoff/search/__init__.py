"""Hyper-parameters: which to try next, and whether LoRA's choice holds for full fine-tuning.

A trial is an ordinary run of the ordinary runner: this package chooses its settings, watches its
events, and may end it; it starts nothing itself.
"""
