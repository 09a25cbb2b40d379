"""The program of the sandbox: tried on the host's own processor."""

import io
import platform
import signal
import subprocess
import tarfile
from pathlib import Path

import pytest

from agent.runtime.sandbox_program import PROGRAM, image_tar, program, supports

HERE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), "")


@pytest.mark.skipif(not supports(HERE), reason="there is no sandbox for this processor")
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_waits_for_a_signal_and_ends_well(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / PROGRAM
    path.write_bytes(program(HERE))
    path.chmod(0o755)
    with subprocess.Popen([path]) as process:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(0.2)
        process.send_signal(number)
        assert process.wait(60) == 0


@pytest.mark.parametrize("architecture", ["amd64", "arm64"])
def test_its_image_is_one_file_that_may_be_run(architecture: str) -> None:
    with tarfile.open(fileobj=io.BytesIO(image_tar(architecture))) as tar:
        (member,) = tar.getmembers()
        assert (member.name, member.mode) == (PROGRAM, 0o755)
        file = tar.extractfile(member)
        assert file is not None
        assert file.read() == program(architecture)


def test_other_processors_have_none() -> None:
    assert not supports("riscv64")
