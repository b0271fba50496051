"""Evaluation: records, judges, win rates and their statistics."""
