"""Stage 1: labelled audio as tables."""
