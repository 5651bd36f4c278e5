import pytest
from tests.envs.made import Made


@pytest.fixture
def made(tmp_path):
    return Made(tmp_path / "made")
