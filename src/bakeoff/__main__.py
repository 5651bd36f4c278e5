"""``python -m bakeoff``, for where the script is not on the path."""

from bakeoff.cli import main

main()
