"""`berth new`: write a commented manifest to begin with. It asks no cluster."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from string import Template
from textwrap import indent
from typing import Annotated

import typer

from cli import new_templates as templates
from cli.session import note, out, session_of
from cli.settings import HELP
from client.connect import DEFAULT_NAMESPACE
from client.errors import BadOption

DEFAULT_IMAGE = "busybox:1.36"
DEFAULT_COMMAND = ("sh", "-c", "trap exit TERM; while true; do date; sleep 5 & wait $!; done")
DEFAULT_WORK = ("sh", "-c", "echo working; sleep 5; echo done")
MAX_LABEL = 63  # characters of a label's value; a name may be longer


@dataclass(frozen=True, slots=True)
class Sample:
    """A template. `depth`: by how many spaces the spec of its tasks is indented; None for kinds without tasks."""

    text: str
    aliases: tuple[str, ...]
    depth: int | None = None
    restart: str = ""
    command: tuple[str, ...] = ()


_ALWAYS = "Always # OnFailure: only after a failure; Never"
_ONLY_ALWAYS = "Always"
_ON_FAILURE = "OnFailure # or Never: then each failure makes a new task"
SAMPLES = {
    "task": Sample(templates.TASK, ("tasks", "t"), 2, _ALWAYS, DEFAULT_COMMAND),
    "deployment": Sample(templates.DEPLOYMENT, ("deployments", "deploy"), 6, _ONLY_ALWAYS, DEFAULT_COMMAND),
    "job": Sample(templates.JOB, ("jobs",), 6, _ON_FAILURE, DEFAULT_WORK),
    "cronjob": Sample(templates.CRON_JOB, ("cronjobs", "cj"), 10, _ON_FAILURE, DEFAULT_WORK),
    "daemonset": Sample(templates.DAEMON_SET, ("daemonsets", "ds"), 6, _ONLY_ALWAYS, DEFAULT_COMMAND),
    "configmap": Sample(templates.CONFIG_MAP, ("configmaps", "cm")),
    "disruptionbudget": Sample(templates.BUDGET, ("disruptionbudgets", "budget", "budgets", "pdb")),
    "namespace": Sample(templates.NAMESPACE, ("namespaces", "ns")),
    "queue": Sample(templates.QUEUE, ("queues", "q")),
    "priorityclass": Sample(templates.PRIORITY_CLASS, ("priorityclasses", "pc")),
    "gitsource": Sample(templates.GIT_SOURCE, ("gitsources", "gs")),
    "node": Sample(templates.NODE, ("nodes", "no")),
}


def register(app: typer.Typer, name: str) -> None:
    app.command(name, epilog=HELP)(new)


def new(
    context: typer.Context,
    kind: Annotated[str, typer.Argument(help=f"One of: {', '.join(SAMPLES)}.")],
    name: Annotated[str, typer.Argument(help="Name of the object; unless given, my-KIND.")] = "",
    command: Annotated[
        list[str] | None, typer.Argument(help="After --: the command of the container.")
    ] = None,
    image: Annotated[str, typer.Option(help="Image of the container.")] = "",
    filename: Annotated[
        str, typer.Option("-f", "--filename", help="Write this file, which must not exist, and not stdout.")
    ] = "",
) -> None:
    """Write a commented manifest to begin with, such as: berth new task web --image nginx:1.27 -f web.yaml"""
    singular, sample = _find(kind)
    if sample.depth is None and (image or command):
        raise BadOption(f"a {singular} has no container; leave out --image and the command")
    text = _fill(sample, name or f"my-{singular}", session_of(context).namespace, image, command, filename)
    if filename:
        _write(Path(filename), text)
    else:
        out(text, end="")
    if filename:
        note(f"Wrote {filename}; run: berth apply -f {filename}")


def _find(written: str) -> tuple[str, Sample]:
    for singular, sample in SAMPLES.items():
        if written.lower() in (singular, *sample.aliases):
            return singular, sample
    raise BadOption(f"there is no template of kind {written!r}; known: {', '.join(SAMPLES)}")


def _fill(
    sample: Sample, name: str, namespace: str, image: str, command: list[str] | None, filename: str
) -> str:
    """Return the manifest. Raises BadOption, InvalidName."""
    from schemas.meta import check_dns_label, check_dns_subdomain

    if sample.text == templates.QUEUE:
        from schemas.queue import check_queue_name

        check_queue_name(name)
    else:
        check_dns_subdomain(name)
    if sample.text == templates.NAMESPACE:
        check_dns_label(name)
    if re.search(r"\s", image):
        raise BadOption(f"--image {image!r} has a space in it; write for example --image nginx:1.27")
    named = "" if namespace == DEFAULT_NAMESPACE else f"\n  namespace: {_scalar(check_dns_label(namespace))}"
    values = {
        "name": _scalar(name),
        "namespace": named,
        "label": _scalar(name[:MAX_LABEL].rstrip("-.")),
        "file": filename or "FILE",
        "image": _scalar(image or DEFAULT_IMAGE),
        "command": _command(sample, bool(image), command),
        "restart": sample.restart,
    }
    if sample.depth is not None:
        values["task"] = indent(Template(templates.TASK_SPEC).substitute(values), " " * sample.depth)
    return Template(sample.text).substitute(values)


def _command(sample: Sample, has_image: bool, command: list[str] | None) -> str:
    """Words of a command that was given; an image that was given brings its own."""
    if command is None and has_image:
        return '    # command: [sh, -c] # replaces the entrypoint of the image\n    # args: ["sleep 3600"]'
    listed = ", ".join(map(_scalar, command or sample.command))
    return f"    # replaces the entrypoint of the image\n    command: [{listed}]"


def _scalar(text: str) -> str:
    """Return text as YAML reads it back: plain where it is only a word, else in quotes."""
    from yaml import YAMLError, safe_load

    try:
        is_plain = re.fullmatch(r"[\w./:@-]+", text) and safe_load(f"[{text}]") == [text]
    except YAMLError:
        is_plain = False
    return text if is_plain else json.dumps(text)


def _write(path: Path, text: str) -> None:
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(text)
    except FileExistsError:
        raise BadOption(f"{path} exists and stays as it is; name another file or remove it") from None
    except OSError as error:
        raise BadOption(f"{path} can't be written: {error.strerror}") from None
