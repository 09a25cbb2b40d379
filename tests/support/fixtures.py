"""Fixtures that more than one package of tests uses: `from tests.support.fixtures import etcd_server`."""

import os
import shutil
from collections.abc import Iterator

import pytest

from tests.support.etcd import EtcdServer


def require_etcd() -> None:
    """Skip a test where there is no etcd; in CI (the variable CI is set) fail instead."""
    missing = [tool for tool in ("etcd", "etcdctl") if shutil.which(tool) is None]
    if missing:
        reason = f"needs {' and '.join(missing)} on the path"
        (pytest.fail if os.environ.get("CI") else pytest.skip)(reason)


@pytest.fixture(scope="session")
def etcd_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EtcdServer]:
    """One etcd for the whole session; tests share it, each under keys of its own."""
    require_etcd()
    with EtcdServer(tmp_path_factory.mktemp("etcd")) as server:
        yield server
