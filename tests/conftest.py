"""What holds for all tests: what commands inherit, which may run side by side, and that no container is left."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from tests.support.docker import given_engine, left_behind
from tools.docker_http import berth_containers

# How quick an example is says something of the machine, and nothing of the code.
settings.register_profile("berth", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("berth")

TESTS = Path(__file__).parent
BEFORE = pytest.StashKey[set[str]]()  # the containers that were there before us
SHARED_CLUSTERS = {"cluster", "breakable"}  # fixtures of tests/e2e that live as long as the process


def pytest_configure() -> None:
    """Give the commands under test Ctrl-C and the size of their own terminal.

    A shell that runs us in its background has Ctrl-C ignored by all. The processes of xdist have LINES and COLUMNS,
    which come before what a terminal says.
    """
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in ("LINES", "COLUMNS"):
        os.environ.pop(name, None)


def pytest_sessionstart(session: pytest.Session) -> None:
    """Note the containers on the engine that all processes share; see `pytest_sessionfinish`."""
    if is_first_process() and given_engine():
        session.stash[BEFORE] = berth_containers(given_engine())


@pytest.hookimpl(trylast=True)  # when the other processes have ended
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Fail a run that leaves containers of Berth on that engine."""
    before = session.stash.get(BEFORE, None)
    left = left_behind(given_engine(), before) if before is not None else ""
    if left:
        session.config.get_terminal_writer().line(f"\ncontainers left behind: {left}", red=True)
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def is_first_process() -> bool:
    """Not one of those that xdist has started."""
    return "PYTEST_XDIST_WORKER" not in os.environ


@pytest.hookimpl(wrapper=True, tryfirst=True)  # around xdist's, which puts the group behind each test's id
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> Iterator[None]:
    """Make two groups of what needs the Docker Engine, one for a process each, and give other files away as a whole.

    What needs the engine waits more than it computes and takes longest, so it is the first to be given away; then
    the simulation, test by test; the other processes work through the rest meanwhile. So three processes keep two
    cores busy. Without `-n` all run in the order in which they were found.
    """
    if not getattr(
        config.option, "loadgroup", False
    ):  # set in the processes of `-n N --dist loadgroup` alone
        yield
        return
    for item in items:
        item.add_marker(pytest.mark.xdist_group(group_of(item)))
    items.sort(key=rank)
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
    """Return the name of an engine's group, or the test's file without its suffix; of the simulation, the test."""
    place = item.path.relative_to(TESTS)
    if needs_engine(item):
        return "engine" if shares_cluster(item) else "engine-own"
    file = str(place.with_suffix(""))
    return f"{file}-{item.name.rstrip(']').replace('[', '-')}" if place.parts[0] == "sim" else file


def rank(item: pytest.Item) -> int:
    """Return when to give a test away: the smaller, the sooner."""
    if needs_engine(item):
        return 1 if shares_cluster(item) else 0
    return 2 if item.path.relative_to(TESTS).parts[0] == "sim" else 3


def needs_engine(item: pytest.Item) -> bool:
    """The test asks for a Docker Engine, by its marker or by a fixture."""
    return item.get_closest_marker("docker") is not None or "docker_host" in fixtures_of(item)


def shares_cluster(item: pytest.Item) -> bool:
    """The test uses a cluster that lives as long as its process, or none (tests/agent): half of all time.

    The others start one for a test or a file.
    """
    package = item.path.relative_to(TESTS).parts[0]
    return package == "agent" or (package == "e2e" and bool(SHARED_CLUSTERS & fixtures_of(item)))


def fixtures_of(item: pytest.Item) -> set[str]:
    return set(getattr(item, "fixturenames", ()))
