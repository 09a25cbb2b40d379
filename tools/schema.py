"""Write manifests/schema: the JSON Schema of every kind, and what kustomize reads, as `make schema` does.

python -m tools.schema             in the virtual environment
"""

import json
import sys
from pathlib import Path

from schemas.jsonschema import schema_files
from schemas.kustomize import openapi
from tools import CLONE

FOLDER = CLONE / "manifests" / "schema"
SUFFIX = ".schema.json"
KUSTOMIZE = "kustomize"


def render() -> dict[str, str]:
    """Return name of the file -> its text. The same models give the same text."""
    return {
        f"{name}{SUFFIX}": json.dumps(schema, indent=2, ensure_ascii=False) + "\n"
        for name, schema in (*schema_files().items(), (KUSTOMIZE, openapi()))
    }


def write(folder: Path) -> list[str]:
    """Write all files, remove those of kinds that are gone, and return the names of those that changed."""
    folder.mkdir(exist_ok=True)
    wanted = render()
    found = {path.name: path.read_text() for path in folder.glob(f"*{SUFFIX}")}
    for name in found.keys() - wanted.keys():
        (folder / name).unlink()
    changed = sorted(name for name, text in wanted.items() if found.get(name) != text)
    for name in changed:
        (folder / name).write_text(wanted[name])
    return sorted({*changed, *(found.keys() - wanted.keys())})


def main() -> int:
    """Write, and say what changed."""
    print(
        "\n".join(f"wrote {FOLDER.relative_to(CLONE)}/{name}" for name in write(FOLDER)) or "nothing changed"
    )
    return 0


if __name__ == "__main__":
    sys.exit(main())
