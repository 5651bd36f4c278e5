"""One recipe on several fine-tuning frameworks; what each cost and what it gained."""

__version__ = "0.1.0"
