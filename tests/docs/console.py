"""Runs the `console` blocks of a page: each command, in one shell, and compares what it prints with what is written.

- ```console: lines that begin with `$ ` are commands, lines that begin with `> ` go on with one; what follows, up to
  the next command, is what it prints, standard output and standard error together, as in a terminal.
- In what is written `...` stands for anything within a line, and a line of only `...` for any lines. Ages (`5m30s`)
  and numbers of spaces may differ by themselves.
- `<!-- file: NAME -->` before a block of any kind makes it a file in the folder in which the commands run.
- A command that ends in ` &` goes on in the background; what it prints is waited for.

A command that only reads is given again until it prints what is written, or PATIENCE_S are over.
"""

import os
import re
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO

PATIENCE_S = 90.0
TIMEOUT_S = 200.0  # of one command
EVERY_S = 0.3
MARK = "\x01"

_BLOCK = re.compile(
    r"(?:^<!-- file: (?P<name>\S+) -->\n)?^```(?P<kind>\w*)\n(?P<text>.*?)^```", re.MULTILINE | re.DOTALL
)
_AGE = re.compile(r"\b(?:\d+[dhms]){1,3}\b")
_READING = re.compile(
    r"^(?:\w+=\S+ )*(?:berth (?:get|describe|logs|events|history|blame|why|shares|top|version|explain|config|auth|"
    r"doctor|wait|consolidate|rebalance --plan|sync status)\b|"
    r"curl|cat|ls|"
    r"etcdctl get|etcdctl endpoint|etcdctl role get|etcdctl user|docker ps)"
)
_DIFFERS = re.compile(r"^berth (?:diff|plan|rebalance --plan|sync status)\b")


@dataclass(frozen=True)
class File:
    """A file that the page tells its reader to write."""

    name: str
    text: str


@dataclass(frozen=True)
class Command:
    """One command, and the lines that the page says it prints."""

    text: str
    expected: tuple[str, ...]
    line: int

    @property
    def is_reading(self) -> bool:
        return bool(_READING.match(self.text)) and " -f" not in self.text.replace(" -f -", "")

    @property
    def is_background(self) -> bool:
        return self.text.endswith(" &")


class Wrong(AssertionError):
    """A command does not print what the page says."""


def steps(page: str) -> Iterator[File | Command]:
    """Yield files and commands of a page in their order."""
    for block in _BLOCK.finditer(page):
        if block["name"]:
            yield File(block["name"], block["text"])
        elif block["kind"] == "console":
            yield from _commands(block["text"], page.count("\n", 0, block.start("text")) + 1)


def _commands(text: str, first_line: int) -> Iterator[Command]:
    command, line, expected = "", 0, list[str]()
    for number, each in enumerate(text.splitlines(), first_line):
        if each.startswith("$ "):
            if command:
                yield Command(command, tuple(expected), line)
            command, line, expected = each[2:], number, []
        elif each.startswith("> ") and not expected:
            command += f"\n{each[2:]}"
        elif not command:
            raise Wrong(f"line {number}: a console block begins with a command: {each!r}")
        else:
            expected.append(each)
    if command:
        yield Command(command, tuple(expected), line)


def fits(expected: tuple[str, ...], printed: str) -> bool:
    """Return whether the printed text is what is written, wildcards and ages apart."""
    lines = [_normal(line) for line in expected]
    patterns = [r"(?:.*\n)*?" if line.strip() == "..." else _pattern(line) for line in lines]
    shown = "".join(f"{_normal(line)}\n" for line in printed.splitlines())
    return re.fullmatch("".join(patterns), shown) is not None


def _normal(line: str) -> str:
    return re.sub(r"\s{2,}", "  ", _AGE.sub("AGE", line)).rstrip()


def _pattern(line: str) -> str:
    return ".*".join(map(re.escape, line.split("..."))) + r"\n"


class Shell:
    """One bash for a whole page: variables, folders and background jobs last."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._folder = folder
        self._jobs = 0
        self._process = subprocess.Popen(
            ["bash", "--noprofile", "--norc"],
            cwd=folder,
            env={**environment, "PWD": str(folder)},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> "Shell":
        return self

    def __exit__(self, *error: object) -> None:
        try:
            self.run("kill $(jobs -p) 2>/dev/null; wait")
        finally:
            os.killpg(self._process.pid, signal.SIGKILL)  # a command that does not end included
            self._process.wait()
            self._pipe(self._process.stdin).close()
            self._pipe(self._process.stdout).close()

    def run(self, text: str) -> tuple[int, str]:
        """Run a command to its end; return its exit code and what it printed."""
        stdin, stdout = self._pipe(self._process.stdin), self._pipe(self._process.stdout)
        ended = rf"printf '{MARK}%d{MARK}\n' $?"
        stdin.write(f"{{ {text}\n}} </dev/null 2>&1\n{ended}\n".encode())
        stdin.flush()
        printed, deadline = b"", time.monotonic() + TIMEOUT_S
        os.set_blocking(stdout.fileno(), False)
        while True:
            printed += stdout.read() or b""
            found = re.search(rf"{MARK}(\d+){MARK}\n$", printed.decode(errors="replace"))
            if found:
                return int(found[1]), printed.decode(errors="replace")[: found.start()]
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise Wrong(f"$ {text}\ndoes not end; it printed:\n{printed.decode(errors='replace')}")
            time.sleep(0.02)

    def start(self, text: str) -> Path:
        """Start a command in the background; return the file that gets what it prints."""
        self._jobs += 1
        log = self._folder / f".job-{self._jobs}.log"
        log.touch()  # the job's own shell opens it when it gets to run, perhaps after the first look
        self.run(f">{log} 2>&1 {text}")  # redirections of its own come later, and win
        return log

    @staticmethod
    def _pipe(pipe: IO[bytes] | None) -> IO[bytes]:
        assert pipe is not None
        return pipe


def run_page(page: str, folder: Path, environment: Mapping[str, str]) -> int:
    """Do all that a page says, in `folder`; return the number of commands. Raises Wrong at the first that differs."""
    count = 0
    with Shell(folder, environment) as shell:
        for step in steps(page):
            if isinstance(step, File):
                (folder / step.name).write_text(step.text)
            else:
                _follow(shell, step)
                count += 1
    return count


def _follow(shell: Shell, command: Command) -> None:
    log = shell.start(command.text) if command.is_background else None
    deadline = time.monotonic() + PATIENCE_S
    while True:
        code, printed = (0, log.read_text()) if log else shell.run(command.text)
        is_good = code == 0 or (code == 1 and bool(_DIFFERS.match(command.text)))
        wants_failure = any(line.startswith("Error") for line in command.expected)
        if fits(command.expected, printed) and (is_good or wants_failure):
            return
        may_wait = command.is_reading or log is not None
        if not may_wait or time.monotonic() > deadline:
            written = "\n".join(command.expected)
            raise Wrong(
                f"line {command.line}: $ {command.text}\nexit code {code}\nwritten:\n{written}\nprinted:\n{printed}"
            )
        time.sleep(EVERY_S)
