"""Stage 3: representations as scikit-learn estimators."""
