import pytest

from tests.client.helpers import World


@pytest.fixture
def world() -> World:
    return World()
