"""`xlrm study`: what is missing of a study, and who runs it where."""
