"""The runner of console blocks: it takes what may differ, and nothing else."""

import os
from pathlib import Path

import pytest

from tests.docs.console import Command, File, Wrong, fits, run_page, steps

PAGE = """
Text with `$ echo inline`.

<!-- file: a.txt -->
```
one
```

```console
$ cat a.txt
one
$ echo two &&
> echo three
two
three
```

```yaml
$ not: a command
```
"""


def test_page_is_files_and_commands_in_their_order() -> None:
    found = list(steps(PAGE))
    assert found[0] == File("a.txt", "one\n")
    assert [each.text for each in found[1:] if isinstance(each, Command)] == [
        "cat a.txt",
        "echo two &&\necho three",
    ]
    assert isinstance(found[1], Command)
    assert PAGE.splitlines()[found[1].line - 1] == "$ cat a.txt"


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("web   Running   5s", "web   Running   2m10s\n"),
        ("NAME   AGE\nweb   5s", "NAME       AGE\nweb        3d4h   \n"),
        ("at ... port ...", "at 127.0.0.1 port 31000\n"),
        ("first\n...\nlast", "first\nsecond\nthird\nlast\n"),
        ("first\n...", "first\n"),
        ("...", ""),
        ("a.b*", "a.b*\n"),
    ],
)
def test_what_may_differ_fits(written: str, printed: str) -> None:
    assert fits(tuple(written.splitlines()), printed)


@pytest.mark.parametrize(
    ("written", "printed"),
    [
        ("web   Running   5s", "web   Pending   5s\n"),
        ("web", "web\nmore\n"),
        ("web\nmore", "web\n"),
        ("first\n...\nlast", "first\nsecond\n"),
        ("", "something\n"),
        ("port ... is free", "port 80\nis free\n"),
        ("restarts 0", "restarts 1\n"),
    ],
)
def test_what_is_wrong_does_not_fit(written: str, printed: str) -> None:
    assert not fits(tuple(written.splitlines()), printed)


def console(text: str) -> str:
    return f"```console\n{text}\n```\n"


def test_commands_share_one_shell_and_its_folder(tmp_path: Path) -> None:
    page = PAGE + console("$ word=kept; cd /\n$ echo $word; pwd\nkept\n/")
    assert run_page(page, tmp_path, os.environ) == 4


def test_reading_command_is_given_again_until_it_fits(tmp_path: Path) -> None:
    page = console("$ bash -c 'sleep 0.5; echo there' > late &\n$ cat late\nthere")
    run_page(page, tmp_path, os.environ)


def test_output_of_a_background_command_is_waited_for(tmp_path: Path) -> None:
    page = console("$ bash -c 'sleep 0.3; echo started; sleep 60' &\nstarted\n$ kill $!")
    run_page(page, tmp_path, os.environ)


@pytest.mark.parametrize("text", ["$ echo one\ntwo", "$ false", "$ echo one", "$ no-such-command\n..."])
def test_wrong_page_fails_and_says_where(tmp_path: Path, text: str) -> None:
    with pytest.raises(Wrong, match=r"line 2: \$ "):
        run_page(console(text), tmp_path, os.environ)
