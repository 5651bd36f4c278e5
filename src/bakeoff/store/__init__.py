"""Results on disk: one directory a run, one a study, and an index that can be rebuilt."""
