"""exec, attach, cp and port-forward: through a real agent, into real containers."""

import os
import re
import signal
import socket
import ssl
import subprocess
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from client.agent_tls import AgentTls
from client.client import Client
from client.errors import AgentUnavailable, BadOption, ClientError, NotFound
from client.exec import start
from client.logs import LogOptions
from schemas.stream import Channel
from tests.support.cluster import BERTH, ROOT, Cluster, shell_task, sleeper, web_task
from tests.support.etcd import Tls
from tests.support.fixtures import require_etcd
from tests.support.terminal import Terminal, in_terminal
from tests.support.wait import PATIENCE_S, eventually

pytestmark = [pytest.mark.etcd, pytest.mark.docker]

ECHOING = "while read line; do echo got-$line; done; exit 5"


@pytest.fixture(scope="module")
def box(cluster: Cluster) -> Iterator[Cluster]:
    """The session's cluster with a task `box` that sleeps, and `page`, a web server."""
    page = web_task("page")
    page["spec"]["containers"][0]["ports"][0]["name"] = "http"
    cluster.apply(sleeper("box"), page)
    cluster.wait_running("box", "page")
    yield cluster
    cluster.delete("box", "page")


@pytest.fixture(scope="module")
def client(box: Cluster) -> Client:
    """A client in this process, which spares a test the start of another."""
    return Client(box.etcd.store())


def environment(cluster: Cluster) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("BERTH_", "DOCKER_"))}
    return {**kept, **cluster.environment}


@contextmanager
def typing(cluster: Cluster, *arguments: str) -> Iterator[Terminal]:
    """Run a `berth` command in a terminal."""
    with in_terminal([str(BERTH), *arguments], environment(cluster)) as terminal:
        yield terminal


def pipe(cluster: Cluster, *arguments: str, stdin: bytes = b"") -> tuple[int, bytes, bytes]:
    """Run a `berth` command with pipes; return exit code and the raw bytes of stdout and stderr."""
    done = subprocess.run(
        [BERTH, *arguments],
        input=stdin,
        capture_output=True,
        env=environment(cluster),
        cwd=ROOT,
        timeout=2 * PATIENCE_S,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


# exec


def test_exec_keeps_exit_code_stdout_and_stderr_apart(box: Cluster) -> None:
    assert pipe(box, "exec", "box", "--", "sh", "-c", "echo out; echo err >&2; exit 2") == (
        2,
        b"out\n",
        b"err\n",
    )


def test_exec_in_a_pipe_does_without_a_terminal_and_passes_any_byte(box: Cluster) -> None:
    data = bytes(range(256)) * 4000
    code, out, err = pipe(box, "exec", "-it", "task/box", "-c", "main", "--", "cat", stdin=data)
    assert (code, out) == (0, data)
    assert err == b"Unable to use a TTY - input is not a terminal\n"


def test_command_that_ends_leaves_input_unread(box: Cluster) -> None:
    script = ("exec", "-i", "box", "--", "sh", "-c", "echo out; exit 4")
    assert pipe(box, *script, stdin=b"x" * 5_000_000) == (4, b"out\n", b"")


@pytest.mark.parametrize(
    ("word", "code", "told"),
    [
        ("no-such-command", 127, 'command "no-such-command" was not found in the image in container main'),
        ("/no/such/file", 127, 'command "/no/such/file" was not found in the image in container main'),
        ("/etc", 126, 'command "/etc" can\'t be run in container main: permission denied'),
    ],
)
def test_command_that_cant_be_started_is_told_with_the_exit_code_of_shells(
    client: Client, word: str, code: int, told: str
) -> None:
    with client.exec("box", "default", (word,)) as process:
        ((channel, said),) = tuple(process)
    assert (process.exit_code, channel) == (code, Channel.STDERR)
    assert said.decode().startswith(f"Error: {told}")
    assert b"OCI" not in said


def test_command_that_says_what_the_engine_would_say_is_not_taken_for_one_that_never_ran(
    client: Client,
) -> None:
    words = "OCI runtime exec failed: exec failed: executable file not found in $PATH: unknown"
    with client.exec("box", "default", ("echo", words)) as process:
        assert tuple(process) == ((Channel.STDOUT, f"{words}\n".encode()),)
    assert process.exit_code == 0


def test_program_reads_both_streams_and_sends_input(client: Client) -> None:
    script = "read a; echo out-$a; echo err-$a >&2; cat > /dev/null; exit 3"
    with client.exec("box", "default", ("sh", "-c", script), stdin=True) as process:
        assert process.send_input(b"x\n")
        assert process.end_input()
        read = dict(process)
    assert read == {Channel.STDOUT: b"out-x\n", Channel.STDERR: b"err-x\n"}
    assert process.exit_code == 3


def wait_for_size(size: str) -> str:
    """Shell that waits for the terminal's size, which is told beside the keys, and then says so."""
    return f"until [ \"$(stty size)\" = '{size}' ]; do sleep 0.05; done; echo is-{size.replace(' ', '-')}; "


def test_exec_in_a_terminal_takes_keys_signals_and_sizes(box: Cluster) -> None:
    script = wait_for_size("30 100") + "read a; echo got-$a; " + wait_for_size("41 123")
    script += "trap 'exit 9' INT; echo armed; while true; do sleep 0.1; done"
    with typing(box, "exec", "-it", "box", "--", "sh", "-c", script) as terminal:
        terminal.wait_for(b"is-30-100")
        assert terminal.is_raw
        terminal.type(b"key\r")
        terminal.wait_for(b"got-key")
        terminal.resize(41, 123)
        terminal.wait_for(b"is-41-123")
        terminal.wait_for(b"armed")
        terminal.type(b"\x03")
        assert terminal.ends() == 9
        assert not terminal.is_raw


def test_terminal_is_restored_when_exec_is_ended_from_outside(box: Cluster) -> None:
    with typing(box, "exec", "-it", "box", "--", "sh", "-c", "echo begin; cat") as terminal:
        terminal.wait_for(b"begin")
        assert terminal.is_raw
        terminal.process.send_signal(signal.SIGTERM)
        assert terminal.ends() == 128 + signal.SIGTERM
        assert not terminal.is_raw


def test_interrupted_exec_ends_with_130(box: Cluster) -> None:
    with box.command("exec", "box", "--", "sh", "-c", "echo begin; sleep 60") as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"begin\n"
        process.send_signal(signal.SIGINT)
        assert process.wait(PATIENCE_S) == 130
        assert process.stderr is not None
        assert process.stderr.read() == b""


def test_bad_targets_of_exec_are_told(box: Cluster, client: Client) -> None:
    box.apply(shell_task("over", "exit 0", restartPolicy="Never"))
    box.wait_state("over", "Succeeded")
    cases: tuple[tuple[str, str | None, str, type[ClientError], str], ...] = (
        ("nobody", None, "ls", NotFound, 'task "nobody" not found in namespace default'),
        ("box", "x", "ls", NotFound, 'task "box" has no container "x"; it has: main'),
        ("over", None, "ls", AgentUnavailable, "is not running"),
        ("box", None, "x" * 9000, BadOption, "the command is too long"),
    )
    for task, container, word, error, told in cases:
        with pytest.raises(error, match=re.escape(told)):
            client.exec(task, "default", (word,), container)
    box.delete("over")


def test_files_are_copied_out_of_a_task_that_has_ended(box: Cluster, client: Client, tmp_path: Path) -> None:
    box.apply(shell_task("made", "echo result > /tmp/made", restartPolicy="Never"))
    box.wait_state("made", "Succeeded")
    client.download("made", "default", "/tmp/made", tmp_path)
    assert (tmp_path / "made").read_text() == "result\n"
    box.delete("made")


def test_wrong_token_is_refused_and_told(client: Client) -> None:
    target = client.agent_target("box", "default", wanted="container")
    stale = replace(target, peer=replace(target.peer, token="stale"))
    with pytest.raises(AgentUnavailable, match="refuses the token of this namespace") as caught:
        start(stale, client.agent_tls, ("ls",))
    assert target.peer.node in str(caught.value)
    assert "stale" not in str(caught.value)


# attach


def test_attach_types_into_the_main_process_and_detaches(box: Cluster) -> None:
    box.apply(shell_task("asker", ECHOING, restartPolicy="Never", container={"stdin": True, "tty": True}))
    box.wait_running("asker")
    sign = box.sign_of_life("asker")
    with typing(box, "attach", "-it", "asker") as terminal:
        terminal.wait_for(b"Ctrl-P Ctrl-Q detaches")
        terminal.type(b"one\r")
        terminal.wait_for(b"got-one")
        terminal.type(b"\x10\x11")
        terminal.wait_for(b"detached from asker, which goes on")
        assert terminal.ends() == 0
    assert box.sign_of_life("asker") == sign
    with typing(box, "attach", "-it", "asker") as terminal:
        terminal.wait_for(b"Ctrl-P Ctrl-Q detaches")
        terminal.type(b"two\r")
        terminal.wait_for(b"got-two")
        terminal.type(b"\x04")  # the end of its input; it exits with 5, and so do we
        assert terminal.ends() == 5
    box.delete("asker")


def test_container_without_a_terminal_is_attached_to_without_one(box: Cluster) -> None:
    box.apply(shell_task("plain", ECHOING, restartPolicy="Never", container={"stdin": True}))
    box.wait_running("plain")
    with typing(box, "attach", "-it", "plain") as terminal:
        terminal.wait_for(b"Unable to use a TTY - container main did not allocate one")
        assert not terminal.is_raw
        terminal.type(b"one\r")
        terminal.wait_for(b"got-one")
        terminal.type(b"\x03")
        assert terminal.ends() == 130
    assert box.container("plain")
    box.delete("plain")


def test_attach_with_input_needs_a_container_that_takes_some(client: Client) -> None:
    with pytest.raises(AgentUnavailable, match="`stdin: true`"):
        client.attach("box", "default", stdin=True)


# cp


def test_files_and_folders_are_copied_both_ways_with_their_modes(box: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "site"
    (folder / "deep").mkdir(parents=True, mode=0o750)
    (folder / "deep" / "run.sh").write_text("#!/bin/sh\n")
    (folder / "deep" / "run.sh").chmod(0o750)
    (folder / "page").write_bytes(bytes(range(256)) * 1000)
    (folder / "page").chmod(0o604)
    (folder / "link").symlink_to("deep/run.sh")
    assert box.berth("cp", str(folder), "box:/tmp").code == 0
    listed = box.berth("exec", "box", "--", "stat", "-c", "%a", "/tmp/site/page", "/tmp/site/deep/run.sh")
    assert listed.out == "604\n750\n"
    back = tmp_path / "back"
    assert box.berth("cp", "task/box:/tmp/site", str(back)).code == 0
    assert (back / "page").read_bytes() == (folder / "page").read_bytes()
    for each in ("page", "deep/run.sh", "deep"):
        assert (back / each).stat().st_mode == (folder / each).stat().st_mode
    assert (back / "link").readlink() == Path("deep/run.sh")


def test_single_file_takes_the_name_that_is_given(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    client.upload("box", "default", tmp_path / "a", "/tmp/b")
    client.download("box", "default", "/tmp/b", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "content"
    client.download("box", "default", "tmp/b", tmp_path)
    assert (tmp_path / "b").read_text() == "content"


def test_whole_container_is_copied_from_its_root(client: Client, tmp_path: Path) -> None:
    client.download("page", "default", "/", tmp_path / "root")
    assert "Berth" in (tmp_path / "root" / "www" / "index.html").read_text()


def test_hostile_links_stay_in_the_container(box: Cluster, client: Client, tmp_path: Path) -> None:
    script = "mkdir /tmp/h; cd /tmp/h; ln -s /etc p; ln -s ../../x q; mkfifo f; echo fine > ok; ln -s ok in"
    with client.exec("box", "default", ("sh", "-c", script)) as process:
        assert list(process) == []
    result = box.berth("cp", "box:/tmp/h", str(tmp_path / "got"))
    assert result.code == 1
    assert "left out h/p: it is a symbolic link that leads out of the folder, to /etc" in result.err
    assert "3 of them left out" in result.err
    assert sorted(each.name for each in (tmp_path / "got").iterdir()) == ["in", "ok"]
    assert (tmp_path / "got" / "in").read_text() == "fine\n"


def test_bad_places_of_cp_are_told(client: Client, tmp_path: Path) -> None:
    (tmp_path / "a").write_text("content")
    (tmp_path / "folder").mkdir()
    for remote, local, told in (
        ("/nowhere", tmp_path, "there is no /nowhere in container main"),
        ("/etc", tmp_path / "none" / "x", "mkdir -p"),
        ("/etc", tmp_path / "a", "is a file"),
    ):
        with pytest.raises(ClientError, match=told):
            client.download("box", "default", remote, local)
    for local, remote, told in (
        (tmp_path / "none", "/tmp", "there is no .*/none on this machine"),
        (tmp_path / "a", "/nowhere/x", "berth exec box -- mkdir -p /nowhere"),
        (tmp_path / "a", "/tmp/new/", "there is no folder /tmp/new"),
        (tmp_path / "folder", "/etc/hosts", "is a file in the container"),
    ):
        with pytest.raises(ClientError, match=told):
            client.upload("box", "default", local, remote)


# port-forward


@contextmanager
def forwarding(cluster: Cluster, *arguments: str) -> Iterator[tuple[subprocess.Popen[bytes], list[int]]]:
    """Run port-forward; give the process and the local ports, one for each of its pairs."""
    with cluster.command("port-forward", *arguments) as process:
        assert process.stdout is not None
        lines = [process.stdout.readline().decode() for _ in arguments[1:]]
        yield process, [int(line.partition(" -> ")[0].rpartition(":")[2]) for line in lines]


def test_port_carries_many_connections_and_survives_one_that_fails(box: Cluster) -> None:
    with forwarding(box, "page", ":http", ":9") as (process, (port, dead)):

        def fetch(_: int) -> bytes:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as reply:
                body: bytes = reply.read()
                return body

        with ThreadPoolExecutor(8) as pool:
            assert all(b"Berth" in body for body in pool.map(fetch, range(16)))
        with pytest.raises(OSError):
            urllib.request.urlopen(f"http://127.0.0.1:{dead}/", timeout=PATIENCE_S)
        assert process.stderr is not None
        assert b"nothing takes connections at port 9" in process.stderr.readline()
        assert b"Berth" in fetch(0)


def test_bad_ports_are_told(client: Client) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(
            BadOption, match=f"can't listen on 127.0.0.1:{port} .*berth port-forward page :8080"
        ):
            client.forward("page", "default", [f"{port}:8080"])
    with pytest.raises(NotFound, match='no port named "x"; it has: http'):
        client.forward("page", "default", [":x"])
    with pytest.raises(BadOption, match="is no pair of ports"):
        client.forward("page", "default", ["0:80"])


def test_half_closed_connection_still_gets_its_answer(box: Cluster, client: Client) -> None:
    box.apply(shell_task("summer", "while true; do nc -l -p 7000 -e md5sum; done", grace="0s"))
    box.wait_running("summer")
    with client.forward("summer", "default", [":7000"]) as forwarding:
        host, _, port = forwarding.routes[0][0].rpartition(":")

        def ask() -> bytes:
            """Nothing listens at first, and between two answers."""
            with socket.create_connection((host, int(port)), 20) as asked:
                try:
                    asked.sendall(b"x" * 300_000)
                    asked.shutdown(socket.SHUT_WR)
                    return asked.recv(100)
                except OSError as error:
                    raise AssertionError(str(error)) from error

        assert eventually(ask).startswith(b"d408ed46ebcc326f9e7c6bb9c77af1cd")
    box.delete("summer")


def test_forwarding_ends_with_the_task(box: Cluster) -> None:
    box.apply(web_task("brief"))
    box.wait_running("brief")
    with forwarding(box, "brief", ":8080") as (process, _):
        box.delete("brief")
        assert process.wait(PATIENCE_S) == 1
        assert process.stderr is not None
        assert b'task "brief" is gone, so forwarding ends' in process.stderr.read()


# TLS


@pytest.fixture(scope="module")
def guarded(docker_host: str, demo_image: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """A cluster whose etcd and agent take only clients with a certificate; task `box` sleeps."""
    require_etcd()
    folder = tmp_path_factory.mktemp("tls")
    tls = Tls.create(folder / "tls")
    with Cluster(folder, docker_host, tls=tls) as cluster:
        cert, key = tls.issue("person")
        files = {"BERTH_CACERT": str(tls.ca_file), "BERTH_CERT": str(cert), "BERTH_KEY": str(key)}
        cluster.environment |= files
        cluster.start_controller()
        server = (
            "--server-cert",
            str(tls.folder / "server.crt"),
            "--server-key",
            str(tls.folder / "server.key"),
        )
        cluster.start_agent("agent", *server, "--client-ca", str(tls.ca_file))
        cluster.wait_ready()
        cluster.apply(sleeper("box"), web_task("page"))
        cluster.wait_running("box", "page")
        yield cluster


def test_all_streams_go_through_tls(guarded: Cluster, tmp_path: Path) -> None:
    assert guarded.status("box").api_address.startswith("https://")
    assert pipe(guarded, "exec", "-i", "box", "--", "cat", stdin=b"in") == (0, b"in", b"")
    files = (guarded.environment[f"BERTH_{name}"] for name in ("CACERT", "CERT", "KEY"))
    client = Client(guarded.etcd.store(), agent_tls=AgentTls(*files))
    client.download("box", "default", "/etc/group", tmp_path)
    assert (tmp_path / "group").exists()
    assert b"".join(client.logs("box", "default", LogOptions())) == b""
    with (
        forwarding(guarded, "page", ":8080") as (_, (port,)),
        urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=PATIENCE_S) as reply,
    ):
        assert b"Berth" in reply.read()


def test_agent_takes_nobody_without_a_certificate_of_its_ca(guarded: Cluster, tmp_path: Path) -> None:
    address = guarded.status("box").api_address
    strange = Tls.create(tmp_path / "strange")
    cert, key = strange.issue("person")
    context = ssl.create_default_context(cafile=guarded.environment["BERTH_CACERT"])
    for load in (lambda: None, lambda: context.load_cert_chain(cert, key)):
        load()
        with pytest.raises(OSError):
            urllib.request.urlopen(f"{address}/healthz", timeout=PATIENCE_S, context=context).read()
    context.load_cert_chain(guarded.environment["BERTH_CERT"], guarded.environment["BERTH_KEY"])
    with urllib.request.urlopen(f"{address}/healthz", timeout=PATIENCE_S, context=context) as reply:
        assert reply.read() == b"ok\n"


def test_lost_agent_is_told_and_the_terminal_restored(guarded: Cluster) -> None:
    with typing(guarded, "exec", "-it", "box", "--", "sh", "-c", "echo begin; cat") as terminal:
        terminal.wait_for(b"begin")
        guarded.components["agent"].kill()
        terminal.wait_for(b"went away while the process ran; whether it has ended is unknown")
        assert terminal.ends() == 1
        assert not terminal.is_raw
    gone = guarded.berth("cp", "box:/etc/group", "-c", "main", "unused")
    assert gone.code == 1
    assert f"node {guarded.nodes[0]} does not answer at https://" in gone.err
    assert 'task "box" was last known as Running since' in gone.err
