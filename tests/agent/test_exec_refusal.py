"""What is told of a command that could not be started."""

import pytest

from agent.runtime.exec_refusal import exec_refusal
from agent.runtime.streams import ExecRequest

BEGIN = "OCI runtime exec failed: exec failed: "
START = f"{BEGIN}unable to start container process: "


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (f'{START}exec: "x": executable file not found in $PATH: unknown\r\n', 127, "was not found in the image"),
        (f'{BEGIN}exec: "x": executable file not found in $PATH: unknown\r\n', 127, "was not found in the image"),
        (f'{START}exec: "x": stat x: no such file or directory: unknown\r\n', 127, "there is no such file"),
        (f'{START}exec: "x": permission denied: unknown\r\n', 126, "can't be run in container main: permission denied"),
        (f"{START}exec x: exec format error: unknown\r\n", 126, "can't be run in container main: exec x: exec format"),
        (f'{START}chdir to cwd ("/no") set in config.json failed: no such file or directory: unknown\r\n', 126, "/no"),
        (f"{BEGIN}something new\r\n", 126, "can't be run in container main: something new"),
    ],
)  # fmt: skip
def test_the_runtimes_sentence_becomes_ours_with_the_exit_code_of_shells(
    words: str, code: int, told: str
) -> None:
    refusal = exec_refusal(words, ExecRequest(("x",), container="main"))
    assert refusal.code == code
    assert refusal.message.startswith('command "x" ')
    assert told in refusal.message
    assert "OCI" not in refusal.message
    assert "unknown" not in refusal.message
