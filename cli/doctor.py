"""`berth doctor`: looks at everything, and says of each thing whether it is well, and what to do if not."""

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from cli.output import Output, format_data, parse_output
from cli.session import out, session_of
from cli.settings import HELP
from client.errors import BadOption

if TYPE_CHECKING:
    from client.doctor_checks import Check

_COLOURS = {"PASS": "32", "WARN": "33", "FAIL": "31"}  # green, yellow, red


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(doctor)


def doctor(
    context: typer.Context,
    output: Annotated[str, typer.Option("-o", "--output", help="json or yaml.")] = "",
) -> None:
    """Check etcd, controllers, nodes, tasks, clocks and certificates. Exits with 1 if anything failed."""
    form = parse_output(output)
    if form in (Output.WIDE, Output.NAME):
        raise BadOption(f"-o {form} makes no sense here; known: json, yaml")
    from client.doctor import examine
    from client.doctor_checks import Verdict, judge
    from client.doctor_verdicts import count

    session = session_of(context)
    checks = judge(examine(session.settings, session.now))
    failed = sum(check.verdict is Verdict.FAIL for check in checks)
    warned = sum(check.verdict is Verdict.WARN for check in checks)
    summary = {"passed": len(checks) - failed - warned, "warnings": warned, "failed": failed}
    if form is Output.TABLE:
        for check in checks:
            out("\n".join(lines_of(check, coloured=sys.stdout.isatty())))
        out(f"{summary['passed']} passed, {count(warned, 'warning')}, {failed} failed")
    else:
        shown = [{**asdict(check), "verdict": str(check.verdict)} for check in checks]
        out(format_data({"kind": "Diagnosis", **summary, "checks": shown}, form), end="")
    raise typer.Exit(1 if failed else 0)


def lines_of(check: "Check", *, coloured: bool) -> list[str]:
    """Return the lines that show one check; what to do has a line of its own."""
    verdict = str(check.verdict)
    mark = f"\033[{_COLOURS[verdict]}m{verdict}\033[0m" if coloured else verdict
    lines = [f"{mark}   {check.name}: {check.text}"]
    return [*lines, f"       -> {check.remedy}"] if check.remedy else lines
