"""When connectors run, which worker runs them, and what becomes of a run: the place of a scheduler."""
