"""A small generated world of news in six languages, and its gold judge.

`world_rows` gives summaries and rated summaries, `pretraining` self-supervised
text, `gold` the true quality of any summary. Everything is a pure function of
an index: no download, no files, nothing but the standard library.
"""
