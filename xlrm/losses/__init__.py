"""Losses as pure functions, without [tokens, vocabulary] logits."""
