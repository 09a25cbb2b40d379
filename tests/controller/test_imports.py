"""What a controller that is only asked to place tasks does not load: the memory is for those who use it."""

import subprocess
import sys

from tools import CLONE

ON_DEMAND = ("highspy", "gitops", "starlette", "uvicorn", "websockets", "cryptography", "yaml", "docker")

PROGRAM = f"""
import sys, controller.main
from tests.controller.harness import Cluster
world = Cluster()
world.apply("default", kind="Namespace", queues=["*"])
world.add_node("n1")
world.apply("it")
world.settle()
assert world.bindings(), "nothing was placed"
print(sorted(set(sys.modules) & set({ON_DEMAND})))
"""


def test_who_leads_and_places_loads_no_solver_no_server_and_no_reader_of_repositories() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM], cwd=CLONE, capture_output=True, text=True, check=False
    )
    assert (done.stdout, done.returncode) == ("[]\n", 0), done.stderr
