"""Tells trackers of runs, from outside the trainer: by the files that every backend leaves."""
