"""Are two runs comparable, and does one differ from the other? Text and plain data, no pictures."""
