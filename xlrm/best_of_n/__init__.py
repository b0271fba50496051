"""Best-of-n: pools of samples, what is chosen from them, what it is worth."""
