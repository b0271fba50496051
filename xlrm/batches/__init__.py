"""Batches: where a job's rows come from, and in which order and shape."""
