"""Development set-up: what `make` runs. Not part of the installed package.

`setup` gets a machine ready, `private` gives an etcd and a Docker Engine that leave nothing behind,
`with_backends` runs the tests against them, `demo` shows a whole cluster, `constraints` guards the pins.
"""

from pathlib import Path

CLONE = Path(__file__).resolve().parent.parent
BUILD = CLONE / "build"
