"""Model classes for T5X's own trainer, and what its gin files name beside."""
