import logging
from collections.abc import Iterator

import pytest


@pytest.fixture(autouse=True)
def _quiet() -> Iterator[None]:
    """Faults make every component warn; the story tells what matters."""
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)
