import pytest

from tests.cli.helpers import Shell
from tests.client.helpers import World
from tests.support.fixtures import etcd_server

__all__ = ["etcd_server"]


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def berth(world: World, capsysbinary: pytest.CaptureFixture[bytes]) -> Shell:
    """`berth(...)` runs a command line against `world`."""
    return Shell(world, capsysbinary)
