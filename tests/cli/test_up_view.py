"""The live view of `berth up`, drawn into a text."""

import io

from rich.console import Console

from cli.up_board import Board, NodeRow, TaskRow
from cli.up_live import render
from schemas.event import Event
from schemas.keys import task_ref

EVENT = Event(
    namespace="default",
    object_kind="Task",
    object_name="web",
    object_uid="u",
    type="Warning",
    reason="BackOff",
    message="[bold]not markup[/bold]",
    source="s",
    first_timestamp="2026-01-01T10:00:00Z",
    last_timestamp="2026-01-01T10:02:03Z",
)


def drawn(board: Board, *, width: int = 100, height: int = 30) -> list[str]:
    console = Console(file=io.StringIO(), width=width, height=height, force_terminal=False)
    console.print(render(board, height, "/logs"))
    assert isinstance(console.file, io.StringIO)
    return [line.rstrip() for line in console.file.getvalue().splitlines()]


def test_nodes_tasks_and_events_are_shown() -> None:
    board = Board(nodes={"n1": NodeRow("Ready", "10.0.0.1")})
    board.tasks[task_ref("default", "web")] = TaskRow("Running", "n1", "80->31000", "")
    board.tasks[task_ref("team", "db")] = TaskRow("Pending", "", "", "no room")
    assert board.put_event(EVENT) == "warning: task/web BackOff: [bold]not markup[/bold]"
    assert drawn(board) == [
        "NODES (1)   STATUS   ADDRESS    TASKS",
        "n1          Ready    10.0.0.1   1",
        "",
        "TASKS (2)   STATUS    NODE   PORTS       REASON",
        "team/db     Pending                      no room",
        "web         Running   n1     80->31000",
        "",
        "EVENTS     TYPE      OBJECT     REASON    MESSAGE",
        "10:02:03   Warning   task/web   BackOff   [bold]not markup[/bold]",
        "logs: /logs   stop: Ctrl-C",
    ]


def test_view_is_no_higher_than_the_terminal_and_shows_trouble_first() -> None:
    board = Board(nodes={f"n{i:04}": NodeRow("NotReady" if i == 900 else "Ready", "") for i in range(1000)})
    for i in range(1000):
        board.tasks[task_ref("default", f"t{i:04}")] = TaskRow(
            "Error" if i == 900 else "Running", "n0000", "", ""
        )
    lines = drawn(board, height=24)
    assert len(lines) < 24
    assert lines[1].startswith("n0900")
    assert next(line for line in lines if line.startswith("t")).startswith("t0900")
    assert sum("more" in line for line in lines) == 2
