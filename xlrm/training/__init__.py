"""The one training loop: step, optimizers, metrics, memory."""
