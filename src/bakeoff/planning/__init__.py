"""Recipe tree -> cells -> plan. Pure functions: no disk, no network."""
