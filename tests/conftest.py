"""What holds for all tests: what commands inherit, and which of them may run side by side."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


def pytest_configure() -> None:
    """Give the commands under test Ctrl-C and the size of their own terminal.

    A shell that runs us in its background has Ctrl-C ignored by all. The processes of xdist have LINES and COLUMNS,
    which come before what a terminal says.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("LINES", "COLUMNS"):
        os.environ.pop(name, None)


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around xdist's, which puts the group behind each test's id
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Let one process run all that needs the Docker Engine, and give each other file to one process as a whole.

    What needs the engine waits more than it computes and takes longest, so it is the first to be given away; the
    other processes work through the rest meanwhile. Without `-n` all run in the order in which they were found.
    """
    if not getattr(
        config.option, "loadgroup", False
    ):  # set in the processes of `-n N --dist loadgroup` alone
        yield
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=needs_engine, reverse=True)
    yield
    for item in items:
        show_group(item)


def show_group(item: pytest.Item) -> None:
    """Put the group behind the test's id, where xdist looks for it, unless xdist has done so.

    xdist 3.8 sets an attribute that pytest 9.2 no longer reads, and so would run each test wherever there is room.
    """
    shown = f"@{group_of(item)}"
    if not item.nodeid.endswith(shown):
        item._id = type(item.id).parse(item.nodeid + shown)
    assert item.nodeid.endswith(shown), "this pytest and this pytest-xdist don't know each other's ids"


def group_of(item: pytest.Item) -> str:
    """Return `engine`, or the test's file without its suffix."""
    return "engine" if needs_engine(item) else str(item.path.relative_to(TESTS).with_suffix(""))


def needs_engine(item: pytest.Item) -> bool:
    """The test asks for a Docker Engine, by its marker or by a fixture."""
    return item.get_closest_marker("docker") is not None or "docker_host" in getattr(item, "fixturenames", ())
