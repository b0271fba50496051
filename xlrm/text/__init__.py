"""Text: tokenizers, and how languages are called."""
