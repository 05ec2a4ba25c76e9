"""Stage 4: classifiers, selection, fusion, scores and tests."""
