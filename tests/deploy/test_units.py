"""Units and image recipe: valid to systemd, with options that exist, and with all that a build needs."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

from cli.main import VERBS
from tests.deploy.hosts import BERTH, DEPLOY, Host, make, settings, unit_command
from tests.docs.test_docs import OPTION, options_of
from tools import CLONE

UNITS = ("berth-controller", "berth-agent")
ROLES = ("controller", "agent")
DOCKERFILE = (DEPLOY / "Dockerfile").read_text()


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_units_are_valid_to_systemd(tmp_path: Path) -> None:
    for name in UNITS:
        text = (DEPLOY / "systemd" / f"{name}.service").read_text()
        (tmp_path / f"{name}.service").write_text(text.replace("/opt/berth/bin/berth", str(BERTH)))
    units = [str(tmp_path / f"{name}.service") for name in UNITS]
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", *units],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    ours = [line for line in done.stderr.splitlines() if "berth" in line]
    assert (done.returncode, ours) == (0, []), done.stderr


@pytest.mark.parametrize("role", ROLES)
def test_command_of_a_unit_has_only_options_that_exist(role: str) -> None:
    variables = settings(DEPLOY / "systemd" / f"{role}.env", Path())
    command = unit_command(f"berth-{role}", variables)
    assert command[1] == role
    written = [word for word in command if word.startswith("-")]
    assert written
    assert set(written) <= options_of(role)


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Host:
    return make(tmp_path_factory.mktemp("hosts") / "made", ("a",)).hosts[0]


@pytest.mark.parametrize("role", ROLES)
def test_example_settings_are_those_that_the_script_makes(role: str, host: Host) -> None:
    made = settings(host.root / f"etc/berth/{role}.env", Path("/"))
    example = settings(DEPLOY / "systemd" / f"{role}.env", Path("/"))
    assert made.keys() == example.keys()
    for name in example.keys() - {"BERTH_ETCD"}:
        example[name] = example[name].replace("10.0.0.11", host.address).replace("host1", host.name)
        assert made[name] == example[name]


# The image


def instructions(name: str) -> list[str]:
    """Return the arguments of each instruction of the Dockerfile with this name."""
    joined = re.sub(r"\\\n", " ", re.sub(r"^#.*\n", "", DOCKERFILE, flags=re.MULTILINE))
    return [line.removeprefix(name).strip() for line in joined.splitlines() if line.startswith(f"{name} ")]


def test_image_has_every_package_that_is_installed() -> None:
    project = tomllib.loads((CLONE / "pyproject.toml").read_text())
    found = project["tool"]["setuptools"]["packages"]["find"]["include"]
    copied = {
        word for line in instructions("COPY") if not line.startswith("--from") for word in line.split()[:-1]
    }
    assert {each.removesuffix("*") for each in found} <= copied
    assert {"pyproject.toml", "constraints.txt", project["project"]["readme"]} <= copied
    assert all((CLONE / each).exists() for each in copied)


def test_image_installs_the_pinned_versions_and_starts_berth_as_nobody() -> None:
    (install,) = [line for line in instructions("RUN") if "pip install" in line]
    assert "-c constraints.txt" in install
    assert instructions("USER") == ["65534:65534"]
    assert instructions("ENTRYPOINT") == ['["berth"]']


def test_commands_in_the_recipe_have_only_options_that_exist() -> None:
    comments = re.sub(r" \\\n#", " ", "\n".join(re.findall(r"^#.*$", DOCKERFILE, re.MULTILINE)))
    said = re.findall(r"berth (controller|agent)\b(.*)$", comments, re.MULTILINE)
    assert {verb for verb, _ in said} == set(ROLES) <= VERBS.keys()
    for verb, rest in said:
        assert set(OPTION.findall(rest)) <= options_of(verb)
