"""README and docs are true where a machine can check them: links, examples in YAML, options of `berth`."""

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import typer.main
import yaml

from cli.main import VERBS, build_app
from cli.settings import _NAMES as GLOBAL_OPTIONS
from schemas import manifest
from schemas.admission import Admitted, Policy, admit
from schemas.namespace import BUILTIN_NAMESPACE
from schemas.queue import BUILTIN_QUEUE
from schemas.task import Task

ROOT = Path(__file__).parents[2]
PAGES = (ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")))
MAKE_TARGETS = frozenset(re.findall(r"^([a-z-]+):.*?## ", (ROOT / "Makefile").read_text(), re.MULTILINE))
HELP = {"-h", "--help"}
POLICY = Policy({"default": BUILTIN_NAMESPACE}, {"default": BUILTIN_QUEUE}, {})


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


every_page = pytest.mark.parametrize("page", PAGES, ids=name_of)


# Links


def links(text: str) -> Iterator[str]:
    """Return the targets of Markdown links outside of code."""
    prose = re.sub(r"```.*?```|`[^`\n]*`", "", text, flags=re.DOTALL)
    return (found[1] for found in re.finditer(r"\]\(([^)\s]+)\)", prose))


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as code hosts make them."""
    prose = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", prose, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


@every_page
def test_relative_links_lead_somewhere(page: Path) -> None:
    broken = []
    for link in links(page.read_text()):
        if re.match(r"[a-z]+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        if not target.exists() or (anchor and anchor not in anchors(target)):
            broken.append(link)
    assert not broken


def test_every_page_can_be_reached_from_the_readme() -> None:
    seen: set[Path] = set()
    waiting = [PAGES[0]]
    while waiting:
        page = waiting.pop()
        if page in seen or page.suffix != ".md":
            continue
        seen.add(page)
        local = (link.partition("#")[0] for link in links(page.read_text()) if not re.match(r"[a-z]+:", link))
        waiting += [(page.parent / link).resolve() for link in local if link]
    assert set(PAGES) <= seen


# Examples


def yaml_blocks() -> list[tuple[str, str]]:
    """Return (page and number, text) of each fenced block that is marked as YAML."""
    return [
        (f"{name_of(page)}-{number}", found[1])
        for page in PAGES
        for number, found in enumerate(re.finditer(r"^```yaml\n(.*?)^```", page.read_text(), re.M | re.S))
    ]


def test_the_readme_has_an_example() -> None:
    assert any(name.startswith("README.md") for name, _ in yaml_blocks())


@pytest.mark.parametrize(("name", "text"), yaml_blocks(), ids=[name for name, _ in yaml_blocks()])
def test_example_is_valid_and_admitted(name: str, text: str) -> None:
    documents = manifest.load([(name, text.encode())], default_namespace="default")
    assert documents, "the block is empty"
    for document in documents:
        if isinstance(document.parsed, Task):
            task = Task.parse_stored(document.raw)
            verdict = admit(task, POLICY)
            assert isinstance(verdict, Admitted), verdict


def test_an_invalid_example_would_be_noticed() -> None:
    wrong = yaml.safe_dump({"apiVersion": "berth/v1", "kind": "Task", "metadata": {"name": "x"}, "spec": {}})
    with pytest.raises(manifest.InvalidManifest):
        manifest.load([("wrong", wrong.encode())], default_namespace="default")


# Commands

CODE = re.compile(r"^```\w*\n(.*?)^```|^ {4,}(\S.*)$|`([^`\n]+)`", re.MULTILINE | re.DOTALL)
BERTH = re.compile(r"(?:^|\s)(?:\$ )?(?:\.venv/bin/)?berth ([^#|&`]*)")
OPTION = re.compile(r"(?<![\w-])(--?[a-zA-Z][\w-]*)")


def code_lines(text: str) -> Iterator[str]:
    """Return the lines of fenced and indented blocks, and pieces of inline code."""
    for found in CODE.finditer(text):
        inside = next(group for group in found.groups() if group is not None)
        yield from inside.splitlines()


def commands(text: str) -> Iterator[list[str]]:
    """Return the words after `berth` of each command that stands in code, up to a `--`; planned ones are left out."""
    for line in code_lines(text):
        for found in BERTH.finditer(line):
            words = re.split(r"\s--(?:\s|$)", found[1])[0].split()
            if words and (words[0] in VERBS or words[0].startswith("-")):
                yield words


@cache
def options_of(verb: str) -> frozenset[str]:
    """Return every option of a verb and of what is below it, global ones included."""
    command: Any = typer.main.get_command(build_app(verb))  # Any: typer's own copy of click has no types
    return frozenset(HELP | set(GLOBAL_OPTIONS) | set(_options_below(command.commands[verb])))


def _options_below(command: Any) -> Iterator[str]:
    for parameter in command.params:
        yield from parameter.opts
        yield from parameter.secondary_opts
    for child in getattr(command, "commands", {}).values():
        yield from _options_below(child)


def is_known(option: str, known: frozenset[str] | set[str]) -> bool:
    """Short switches may be written together: -it."""
    together = re.fullmatch(r"-([a-zA-Z]{2,})", option)
    return option in known or bool(together and {f"-{letter}" for letter in together[1]} <= known)


@every_page
def test_every_option_of_berth_exists(page: Path) -> None:
    unknown = []
    for words in commands(page.read_text()):
        verb = words[0]
        known = options_of(verb) if verb in VERBS else HELP | set(GLOBAL_OPTIONS)
        unknown += [(verb, each) for each in OPTION.findall(" ".join(words)) if not is_known(each, known)]
    assert not unknown


@every_page
def test_every_verb_of_berth_exists_or_is_planned(page: Path) -> None:
    text = re.sub(r"\*\*\[planned\]\*\*:.*?(?=\n\n|\Z)", "", page.read_text(), flags=re.DOTALL)
    said = {
        found[1]
        for line in code_lines(text)
        for found in re.finditer(r"(?:^|[\s/])berth ([a-z][a-z-]*)\b", line)
    }
    assert said <= set(VERBS)


def test_the_readme_shows_commands_with_options() -> None:
    found = list(commands(PAGES[0].read_text()))
    assert ["apply", "-f", "page.yaml", "--wait"] in found
    assert any(words[0] == "agent" and "--state-dir" in words for words in found)


def test_an_unknown_option_would_be_noticed() -> None:
    assert not is_known("--no-such-option", options_of("apply"))
    assert is_known("-it", options_of("exec"))
    assert not is_known("-iz", options_of("exec"))
    assert {"-f", "--wait", "--etcd", "-n"} <= options_of("apply")
    assert "--force" in options_of("node")


@every_page
def test_every_make_target_exists(page: Path) -> None:
    said = {
        found[1]
        for line in code_lines(page.read_text())
        for found in re.finditer(r"^make ([a-z-]+)", line.strip())
    }
    assert said <= MAKE_TARGETS


# Words that belong to nobody's machine


@every_page
def test_pages_name_no_paths_of_one_machine(page: Path) -> None:
    assert not re.findall(r"/home/\w+|/root/", page.read_text())
