"""Trainers of other projects, each told in its own configuration file."""
