"""`auth` where etcd asks nobody who he is, and what is told about wrong questions."""

import pytest

from tests.cli.helpers import Shell


def test_without_authentication_everybody_may_do_everything(berth: Shell) -> None:
    whoami = berth("auth", "whoami")
    assert (whoami.code, whoami.err) == (0, "")
    assert whoami.lines == [
        "ATTRIBUTE   VALUE",
        "User        <none>",
        "Access      no authentication: full access",
    ]
    answer = berth("auth", "can-i", "delete", "nodes")
    assert (answer.code, answer.out, answer.err) == (0, "yes\n", "")
    assert berth("auth", "can-i", "delete", "nodes", "-q").out == ""
    listed = berth("auth", "can-i", "--list", "-A").lines
    assert listed[0].split() == ["KIND", "VERBS"]
    assert any(
        line.startswith("nodes") and line.endswith("cordon, uncordon, drain, fence, top") for line in listed
    )


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("fly", "tasks"), "there is no verb 'fly' for tasks; known verbs: get, list"),
        (("logs", "nodes"), "there is no verb 'logs' for nodes"),
        (("get", "unicorns"), 'there is no kind "unicorns"'),
        ((), "berth auth can-i delete tasks"),
    ],
)
def test_question_that_makes_no_sense_is_told(berth: Shell, arguments: tuple[str, ...], told: str) -> None:
    answer = berth("auth", "can-i", *arguments)
    assert (answer.code, answer.out) == (1, "")
    assert told in answer.err
