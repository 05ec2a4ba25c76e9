"""Tables, figures, provenance, the overview (contracts 5 and 6)."""
