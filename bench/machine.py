"""What was measured on: the machine and the versions of all that takes part."""

import os
import platform
import subprocess
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

import psutil


@dataclass(frozen=True, slots=True)
class Machine:
    """Field names are shown on the page; empty ones are not."""

    date: str
    berth: str
    processor: str
    cores: str
    memory: str
    kernel: str
    python: str
    etcd: str
    docker: str
    packages: str
    load: str = ""


def look() -> Machine:
    return Machine(
        date=datetime.now(UTC).strftime("%Y-%m-%d"),
        berth=" ".join(filter(None, (version("berth"), _said("git", "rev-parse", "--short", "HEAD")))),
        processor=_processor(),
        cores=str(psutil.cpu_count()),
        memory=f"{psutil.virtual_memory().total / 2**30:.1f} GiB",
        kernel=platform.release(),
        python=platform.python_version(),
        etcd=_said("etcd", "--version").partition("\n")[0].removeprefix("etcd Version: "),
        docker=_said("dockerd", "--version").removeprefix("Docker version "),
        packages=", ".join(
            f"{name} {version(name)}"
            for name in ("docker", "grpcio", "pydantic", "etcd-sdk-python", "numpy", "highspy")
        ),
        load=f"{os.getloadavg()[0]:.1f} in the minute before",
    )


def _processor() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        name, _, value = line.partition(":")
        if name.strip() == "model name":
            return value.strip()
    return platform.machine()


def _said(*command: str) -> str:
    """Return what a command prints, empty where it is missing."""
    try:
        return subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    except OSError:
        return ""
