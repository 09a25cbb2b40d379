"""The rows of the bench, in the order of the page: name -> module and class, imported when it is run."""

from importlib import import_module

from bench.harness import Row

ROWS = {
    "one": ("bench.one", "OneContainer"),
    "forty": ("bench.forty", "FortyContainers"),
    "get": ("bench.get", "GetTasks"),
    "idle": ("bench.idle", "StandingStill"),
    "scheduler": ("bench.scheduler", "Scheduler"),
    "pipeline": ("bench.pipeline", "Pipeline"),
}


def make_row(name: str) -> Row:
    """Return the row of that name."""
    module, made = ROWS[name]
    row: Row = getattr(import_module(module), made)()
    return row
