"""`berth drain NODE --plan`: where each task would go, what fits nowhere, what keeps some, and how long it may take."""

from typing import Any

from cli.answering import ask_drain
from cli.session import Session, note, out
from cli.shares import task_text
from cli.tables import format_table

Json = dict[str, Any]
HEADER = ("TASK", "WOULD GO TO", "WHEN")
CANT_BE_PLACED = 2


def show_plan(session: Session, node: str, *, ignore_daemonsets: bool) -> int:
    """Print the plan; return the exit code: 0 all find a place, 2 some don't, or the drain would be refused."""
    with session.client() as client:
        answer = ask_drain(client, node, session.now(), ignore_daemonsets=ignore_daemonsets)
    for line in lines_of(answer):
        out(line)
    if answer["isRefused"]:
        note(
            f"Error: the drain would be refused, as node {node} has tasks of DaemonSets "
            f"({len(answer['daemonsetTasks'])}); to leave them there say: berth drain {node} --ignore-daemonsets"
        )
        return CANT_BE_PLACED
    return CANT_BE_PLACED if any(not each["to"] for each in answer["tasks"]) else 0


def lines_of(answer: Json) -> list[str]:
    """Return the plan as people read it."""
    tasks, node = answer["tasks"], answer["node"]
    if not tasks:
        return [f"Nothing has to leave node {node}."]
    rows = [
        (task_text(each["task"]), each["to"] or "(nowhere)", each["keptBy"] or "at once") for each in tasks
    ]
    nowhere = [each for each in tasks if not each["to"]]
    return [
        *format_table(HEADER, rows),
        *(f"{task_text(each['task'])} would wait: {each['reason']}" for each in nowhere),
        *(
            f"preempted: {task_text(each['task'])} on node {each['node']} (priority {each['priority']})"
            for each in answer["victims"]
        ),
        "",
        _summary(answer),
    ]


def _summary(answer: Json) -> str:
    tasks = answer["tasks"]
    now = [each for each in tasks if not each["keptBy"]]
    kept = len(tasks) - len(now)
    grace = f"{answer['longestGraceSeconds']:g}s at most"
    text = f"{len(now)} of {len(tasks)} tasks may go at once, each within its grace, {grace}"
    if kept:
        text += f"; {kept} as budgets allow, when others of theirs are ready again"
    return f"{text} (at revision {answer['revision']})."
