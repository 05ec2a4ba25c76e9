"""Stage 5: tables and figures that say where they come from."""
