"""Measurements taken from outside the process that is measured."""
