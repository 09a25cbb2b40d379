"""The parts of `berth up` that need no cluster: what is started, how the dead are replaced, who is who."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from client.client import Client
from client.connect import Settings
from local.detach import environment_of_child
from local.docker import why_no_docker
from local.down import end_leftovers
from local.errors import LocalError, RunsAlready
from local.etcd import choose_ports, find_etcd, is_free, pick_port
from local.folder import Folder, Record, default_data_dir
from local.pki import Pki
from local.plan import Child, UpOptions, children, clean_environment, left_behind, port_ranges
from local.processes import ProcessId, end, identify, is_alive, send, spawn
from local.ready import Onlooker
from local.supervisor import CLEAN_RUN_S, FIRST_DELAY_S, MAX_DELAY_S, Supervisor, describe_exit
from schemas.keys import Keys
from store.api import Txn, TxnResult
from store.errors import Unavailable
from store.memory import MemoryStore
from tests.support.wait import eventually

OPTIONS = UpOptions(node="n")
SETTINGS = Settings(("https://127.0.0.1:2379",), "/ca", "/cert", "/key")
SLEEP = (sys.executable, "-c", "import time; time.sleep(600)")


# What is started


def test_nodes_share_ports_without_overlap_and_know_their_share(tmp_path: Path) -> None:
    options = replace(OPTIONS, nodes=3, ports=(31000, 31099))
    ranges = port_ranges(options)
    assert ranges == ((31000, 31032), (31033, 31065), (31066, 31098))
    commands = [child.command for child in children(options, SETTINGS, Folder(tmp_path), Pki(tmp_path))]
    assert [each for command in commands for each in command if each.startswith("--share")] == [
        "--share=1/3",
        "--share=2/3",
        "--share=3/3",
    ]


def test_one_node_has_the_plain_name() -> None:
    assert OPTIONS.node_names == ("n",)
    assert replace(OPTIONS, nodes=2).node_names == ("n-1", "n-2")
    assert replace(OPTIONS, hollow=2).hollow_names == ("n-hollow-0001", "n-hollow-0002")


def test_simulated_nodes_are_none_whose_containers_would_be_looked_for(tmp_path: Path) -> None:
    """`down --stop-tasks` asks Docker about every node that has a folder of an agent."""
    folder = Folder(tmp_path / "data")
    options = replace(OPTIONS, nodes=1, hollow=2)
    commands = [child.command for child in children(options, SETTINGS, folder, Pki(tmp_path))]
    places = [
        Path(each.partition("=")[2]) for one in commands for each in one if each.startswith("--state-dir")
    ]
    assert [place for place in places if folder.agents in place.parents] == [folder.agents / "n"]
    assert len(places) == len(set(places)) > 1


def test_nodes_that_are_not_started_again_are_told_with_commands_that_end_what_runs_there() -> None:
    assert left_behind(["a"], "", "") == (
        "node a of the last time is not started; what runs there goes on; to end it: berth down --stop-tasks, "
        "then, with the cluster up: berth node fence a"
    )
    both = left_behind(["a", "b"], " --data-dir /d", " --context c")
    assert both.startswith("nodes a, b of the last time are not started")
    for command in (
        "berth down --stop-tasks --data-dir /d",
        *(f"berth node fence {n} --context c" for n in "ab"),
    ):
        assert command in both


def test_agents_demand_certificates_unless_etcd_is_somebody_elses(tmp_path: Path) -> None:
    own = children(OPTIONS, SETTINGS, Folder(tmp_path), Pki(tmp_path))[-1]
    other = children(replace(OPTIONS, external=SETTINGS), SETTINGS, Folder(tmp_path), Pki(tmp_path))[-1]
    assert f"--client-ca={tmp_path}/ca.crt" in own.command
    assert [each for each in other.command if "client-ca" in each] == []


def test_variables_that_would_change_the_options_are_not_handed_on() -> None:
    assert clean_environment({"BERTH_ETCD": "x", "ETCD_NAME": "y", "PATH": "z"}) == {"PATH": "z"}


def test_files_that_are_named_relatively_are_the_same_in_the_background(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    given = {"BERTH_CONFIG": "my.yaml", "BERTH_DATA_DIR": "data", "PATH": "z"}
    assert environment_of_child(given) == {
        "BERTH_CONFIG": f"{tmp_path}/my.yaml",
        "BERTH_DATA_DIR": f"{tmp_path}/data",
        "PATH": "z",
    }
    assert environment_of_child({"PATH": "z"}) == {"PATH": "z"}


class Away(MemoryStore):
    """A store that takes no transaction any more."""

    def txn(self, txn: Txn) -> TxnResult:
        raise Unavailable("no answer")


class Looking(Onlooker):
    """Looks at a store that went away."""

    def client(self) -> Client:
        return Client(Away(lambda: 0.0), Keys())


def test_etcd_that_goes_away_during_the_start_is_told_with_its_address() -> None:
    with pytest.raises(LocalError, match=r"127\.0\.0\.1:2379"):
        Looking(SETTINGS).keep_off(["n-hollow-0001"])


def test_ports_of_last_time_are_taken_again_if_they_are_free() -> None:
    with_listener = pick_port((), ())
    assert is_free(with_listener)
    assert choose_ports((with_listener, 0))[0] == with_listener


def test_missing_etcd_is_told_with_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(LocalError, match=r"apt-get install etcd-server.*--etcd"):
        find_etcd(str(tmp_path))


def test_missing_docker_is_told_with_what_to_do(tmp_path: Path) -> None:
    told = why_no_docker(f"unix://{tmp_path}/none")
    assert "there is no such socket" in told
    assert "--hollow" in told


def test_address_that_is_none_of_docker_is_told() -> None:
    assert "write unix:///path or tcp://host:port" in why_no_docker("ssh://x")


def test_too_few_ports_are_told() -> None:
    with pytest.raises(LocalError, match="give a wider one"):
        port_ranges(replace(OPTIONS, nodes=9, ports=(31000, 31010)))


def test_data_folder_follows_variable_then_home() -> None:
    assert default_data_dir({"BERTH_DATA_DIR": "/d", "HOME": "/h"}) == Path("/d")
    assert default_data_dir({"HOME": "/h"}) == Path("/h/.local/share/berth")
    with pytest.raises(LocalError, match="BERTH_DATA_DIR"):
        default_data_dir({})


# What is remembered


def test_record_is_read_as_it_was_written_and_fields_of_later_versions_are_passed_over(
    tmp_path: Path,
) -> None:
    me = identify(os.getpid())
    assert me is not None
    record = Record(up=me, processes={"etcd": me}, nodes=("a",), endpoints=("x:1",), hollow=("h-0001",))
    folder = Folder(tmp_path)
    folder.write(record)
    path = tmp_path / "up.json"
    path.write_text(path.read_text().replace('"ready"', '"later": 1, "ready"'))
    assert folder.read() == record


def test_damaged_record_is_told(tmp_path: Path) -> None:
    (tmp_path / "up.json").write_text("{")
    with pytest.raises(LocalError, match=r"up\.json can't be read"):
        Folder(tmp_path).read()


def test_folder_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder = Folder(tmp_path / "d")
    folder.make()
    with folder.held():
        assert folder.is_held()
        with pytest.raises(RunsAlready, match=f"berth down --data-dir {folder.path};"), folder.held():
            pass
    assert not folder.is_held()


@pytest.mark.parametrize("names", [["notes"], ["pki", "manifests"], ["etcd"], ["lock", "logs"]])
def test_folder_that_holds_other_things_is_refused(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).mkdir()
    with pytest.raises(LocalError, match=f"holds other things .*{names[-1]}.*--data-dir"):
        Folder(tmp_path).make()
    assert sorted(each.name for each in tmp_path.iterdir()) == sorted(names)


@pytest.mark.parametrize("more", ["up.json", ".up.json-cut0off", "lock"])
def test_folder_of_an_earlier_run_is_taken_again(tmp_path: Path, more: str) -> None:
    Folder(tmp_path).make()
    (tmp_path / more).touch()
    Folder(tmp_path).make()


# Who is who


@contextmanager
def sleeping(tmp_path: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = spawn(SLEEP, tmp_path / "log", os.environ, tmp_path)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_process_is_known_by_its_start_and_another_of_its_pid_is_never_signalled(tmp_path: Path) -> None:
    with sleeping(tmp_path) as process:
        found = identify(process.pid)
        assert found is not None
        other = replace(found, started=found.started + 1)
        assert not send(other, signal.SIGKILL)
        assert is_alive(found)
        end([found], 10)
        assert not is_alive(found)


def test_zombie_and_nobody_are_not_alive(tmp_path: Path) -> None:
    with sleeping(tmp_path) as process:
        process.kill()
        eventually(lambda: identify(process.pid) is None)
    assert not is_alive(ProcessId(process.pid, 1, "boot"))


def test_what_a_killed_up_left_is_ended_in_order_and_nothing_else(tmp_path: Path) -> None:
    said: list[str] = []
    with sleeping(tmp_path) as etcd, sleeping(tmp_path) as agent, sleeping(tmp_path) as other:
        known = {
            name: identify(each.pid) for name, each in (("etcd", etcd), ("agent-n", agent), ("old", other))
        }
        processes = {name: each for name, each in known.items() if each is not None}
        processes["old"] = replace(processes["old"], boot="an earlier one")
        assert end_leftovers(Record(processes=processes), said.append)
        assert [each.split()[1] for each in said] == ["agent-n", "etcd"]
        assert [is_alive(processes[name]) for name in ("etcd", "agent-n")] == [False, False]
        assert other.poll() is None
        assert not end_leftovers(Record(processes=processes), said.append)


# How the dead are replaced


class Made:
    """A supervisor of children that really run, under a clock of the test's own."""

    def __init__(self, tmp_path: Path) -> None:
        self.said: list[str] = []
        self.remembered: dict[str, ProcessId] = {}
        self.supervisor = Supervisor(
            lambda child: spawn(child.command, tmp_path / "log", os.environ, tmp_path),
            self.said.append,
            self._remember,
        )

    def _remember(self, found: dict[str, ProcessId]) -> None:
        self.remembered = found

    def kill(self, name: str, now: float) -> float | None:
        running = self.supervisor.children[name]
        assert running.process is not None
        running.process.kill()
        running.process.wait()
        return self.supervisor.step(now)


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Made]:
    found = Made(tmp_path)
    yield found
    found.supervisor.kill()


def test_dead_child_is_started_again_later_and_later(made: Made) -> None:
    now, delays = 100.0, []
    made.supervisor.start(Child("a", SLEEP, 0, 1.0), now)
    for _ in range(7):
        due = made.kill("a", now)
        assert due is not None
        delays.append(due - now)
        assert made.remembered == {}
        assert made.supervisor.step(due - 0.01) == due
        assert made.supervisor.step(due) is None
        assert made.remembered.keys() == {"a"}
        now = due
    assert delays[:3] == [FIRST_DELAY_S, 2 * FIRST_DELAY_S, 4 * FIRST_DELAY_S]
    assert delays[-1] == MAX_DELAY_S
    assert made.kill("a", now + CLEAN_RUN_S) == now + CLEAN_RUN_S + FIRST_DELAY_S
    assert "a ended (killed by SIGKILL); it is started again in 1 s" in made.said


def test_child_that_can_not_be_started_again_is_tried_later_and_later(made: Made) -> None:
    made.supervisor.start(Child("a", SLEEP, 0, 1.0), 0.0)
    able = made.supervisor.spawn

    def fail(child: Child) -> "subprocess.Popen[bytes]":
        raise OSError("no processes left")

    made.supervisor.spawn = fail
    first = made.kill("a", 0.0)
    assert first is not None
    second = made.supervisor.step(first)
    assert second == first + 2 * FIRST_DELAY_S
    assert "a can't be started: no processes left; it is started again in 2 s" in made.said
    made.supervisor.spawn = able
    assert made.supervisor.step(second) is None
    assert made.remembered.keys() == {"a"}


def test_children_are_asked_to_end_in_turns(made: Made) -> None:
    for name, turn in (("etcd", 2), ("controller", 1), ("agent-1", 0), ("agent-2", 0)):
        made.supervisor.start(Child(name, SLEEP, turn, 5.0), 0.0)
    assert made.supervisor.turns() == (0, 1, 2)
    assert made.supervisor.ask(0) == 5.0
    eventually(lambda: made.supervisor.living(0) == ())
    assert made.supervisor.living(1) == ("controller",)
    assert made.said == ["stopping agent-1", "stopping agent-2"]


def test_exit_is_told_in_words() -> None:
    assert (describe_exit(1), describe_exit(-9)) == ("exit code 1", "killed by SIGKILL")
