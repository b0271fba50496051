"""Checkpoints: ours, T5X's and Hugging Face's, read, written, converted."""
