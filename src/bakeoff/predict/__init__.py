"""What a training will need: memory by part, time, disk, and what to change if it is too much."""
