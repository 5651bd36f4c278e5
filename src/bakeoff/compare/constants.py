"""What every test of a comparison uses."""

ALPHA = 0.05
POWER = 0.8
NUM_RESAMPLES = 9_999
