"""YAML as Berth shows it: keys in their order, blocks, no aliases, text as it is. Pure."""

from typing import Any

import yaml


class _Dumper(getattr(yaml, "CSafeDumper", yaml.SafeDumper)):  # type: ignore[misc]
    def ignore_aliases(self, data: object) -> bool:
        return True


def to_yaml(value: Any) -> str:
    """Return YAML that reads back as `value`."""
    return str(
        yaml.dump(
            value, Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=120
        )
    )
