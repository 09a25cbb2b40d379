"""Which version of Berth this is."""

from importlib import metadata

DISTRIBUTION = "berth"
FALLBACK = "0.1.0"  # run from a clone that is not installed; as in pyproject.toml


def berth_version() -> str:
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return FALLBACK
