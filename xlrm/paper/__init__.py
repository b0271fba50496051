"""The paper's own numbers (arXiv 2404.12318): tables, claims, page."""
