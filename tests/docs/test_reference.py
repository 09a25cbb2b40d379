"""The reference pages are those of the code."""

import re
from typing import Any

import pytest

from agent.runtime.logs import NoLogs
from agent.runtime.streams import NoStreams
from agent.server.app import application
from agent.server.usage import UsageSource
from cli.main import VERBS
from schemas.kinds import KINDS
from tools import reference

PAGES = reference.render()


@pytest.mark.parametrize("name", PAGES)
def test_page_in_the_box_is_that_of_the_code(name: str) -> None:
    assert (reference.FOLDER / name).read_text() == PAGES[name], "run: make reference"


def test_every_command_has_a_section_with_its_options() -> None:
    page = PAGES["cli.md"]
    assert [name for name in VERBS if f"\n## {name}\n" not in page] == []
    assert "| `-f`, `--filename` | File, folder, or - for stdin; repeatable. Required. |" in page
    assert "\n### node fence\n" in page, "commands below a command have sections, too"


def test_every_kind_has_its_fields_with_types_and_defaults() -> None:
    page = PAGES["kinds.md"]
    assert [kind.name for kind in KINDS if f"\n## {kind.name}\n" not in page] == []
    for line in (
        '| `grace` | duration | `"30s"` |',
        "| `image` | text | required |",
        "| `containers` | list of objects | required |",
        "| `requests` | map of quantities |",
        '| `restartPolicy` | text | `"Always"` |',
    ):
        assert line in page


def test_every_field_is_described() -> None:
    rows = [line.split(" | ") for line in PAGES["kinds.md"].splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if not row[3].strip(" |")] == []


def test_every_option_is_described() -> None:
    rows = [line.split(" | ") for line in PAGES["cli.md"].splitlines() if line.startswith("| `")]
    assert [row[0] for row in rows if not row[1].strip(" |")] == []


def test_page_of_the_agents_api_has_every_path_and_no_other() -> None:
    served: Any = application(lambda uid: None, NoLogs(), NoStreams(), UsageSource())
    paths = {re.sub(r"\{task_uid\}", "{uid}", route.path) for route in served._app.routes}
    page = (reference.FOLDER / "agent-api.md").read_text()
    assert set(re.findall(r"^\| `(?:GET|PUT|WS) ([^`?]+)", page, re.MULTILINE)) == paths
