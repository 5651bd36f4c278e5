"""Fixtures of the tests about the doctor."""

from tests.fake_hub import hub  # noqa: F401 - a fixture
