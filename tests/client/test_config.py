"""Contexts: what is read, what wins, what is written, and what a broken file says."""

import stat
from pathlib import Path

import pytest

from client.config import Config, config_path, load, save
from client.connect import merge, resolve
from client.errors import BadOption

FILE = """\
currentContext: home
later: kept
contexts:
  - {name: home, etcd: [h:1, h:2], prefix: /x, namespace: mine, color: blue}
  - {name: work, etcd: [w:1], cacert: pki/ca.crt, cert: pki/c.crt, key: pki/c.key}
"""


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "config.yaml").write_text(FILE)
    return {"BERTH_CONFIG": str(tmp_path / "config.yaml")}


def test_current_context_says_what_nobody_else_says(environment: dict[str, str]) -> None:
    found = merge({}, environment)
    assert (found.endpoints, found.prefix, found.namespace, found.context) == (
        ("h:1", "h:2"),
        "/x",
        "mine",
        "home",
    )
    assert merge({}, {**environment, "BERTH_NAMESPACE": "other"}).namespace == "other"
    assert merge({"namespace": "third"}, {**environment, "BERTH_NAMESPACE": "other"}).namespace == "third"


def test_context_is_named_by_option_or_variable(environment: dict[str, str], tmp_path: Path) -> None:
    for found in (
        merge({"context": "work"}, environment),
        merge({}, {**environment, "BERTH_CONTEXT": "work"}),
        merge({"context": "work"}, {**environment, "BERTH_CONTEXT": "home"}),
    ):
        assert (found.endpoints, found.ca_file) == (("w:1",), str(tmp_path / "pki" / "ca.crt"))


def test_another_etcd_is_not_given_the_certificates_of_the_current_context(
    environment: dict[str, str],
) -> None:
    environment["BERTH_CONFIG"] = str(Path(environment["BERTH_CONFIG"]))
    Path(environment["BERTH_CONFIG"]).write_text(FILE.replace("currentContext: home", "currentContext: work"))
    for found in (merge({"etcd": "z:1"}, environment), merge({}, {**environment, "BERTH_ETCD": "z:1"})):
        assert (found.endpoints, found.ca_file, found.context) == (("z:1",), "", "")
    lent = merge({"etcd": "z:1", "context": "work"}, environment)
    assert lent.endpoints == ("z:1",)
    assert lent.ca_file.endswith("ca.crt")


def test_without_a_file_the_defaults_hold(tmp_path: Path) -> None:
    assert merge({}, {"HOME": str(tmp_path)}).endpoints == ("http://127.0.0.1:2379",)
    assert config_path({"HOME": "/h"}) == Path("/h/.config/berth/config.yaml")
    assert config_path({"HOME": "/h", "XDG_CONFIG_HOME": "/c"}) == Path("/c/berth/config.yaml")
    assert config_path({}) is None


def test_missing_certificate_is_told_with_its_context_and_the_next_command(
    environment: dict[str, str],
) -> None:
    with pytest.raises(
        BadOption, match=r'context "work" names cacert .*ca\.crt.*no such file.*set-context work'
    ):
        resolve({"context": "work"}, environment)


def test_unknown_context_names_those_that_are_known(environment: dict[str, str], tmp_path: Path) -> None:
    with pytest.raises(BadOption, match=r'context "x" is not in .*config\.yaml; known: home, work'):
        merge({"context": "x"}, environment)
    with pytest.raises(BadOption, match=r'there is no context "x".*berth config set-context x'):
        merge({"context": "x"}, {"HOME": str(tmp_path)})


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a: [", "is not valid YAML"),
        ("- a", "has no list of contexts"),
        ("contexts: {a: b}", "has no list of contexts"),
        ("contexts: [{etcd: x}]", "context number 1 has no name"),
        ("contexts: [{name: a}, {name: a}]", 'two contexts "a"'),
        ("contexts: [{name: a, cert: [x]}]", 'cert of context "a" must be a text'),
        ("contexts: [{name: a, etcd: [1]}]", 'etcd of context "a" must be a list of host:port'),
    ],
)
def test_broken_file_is_told_with_its_path(environment: dict[str, str], text: str, told: str) -> None:
    Path(environment["BERTH_CONFIG"]).write_text(text)
    with pytest.raises(BadOption) as error:
        merge({}, environment)
    assert told in str(error.value)
    assert environment["BERTH_CONFIG"] in str(error.value)


def test_file_that_is_not_text_is_told(environment: dict[str, str]) -> None:
    Path(environment["BERTH_CONFIG"]).write_bytes(b"\xff\xfe\x00")
    with pytest.raises(BadOption, match="can't be read"):
        merge({}, environment)


def test_change_keeps_what_this_version_does_not_know(environment: dict[str, str]) -> None:
    path = Path(environment["BERTH_CONFIG"])
    save(load(path).with_context("home", {"namespace": "", "etcd": ["n:1"]}).with_current("work"))
    raw = load(path).raw
    assert raw["later"] == "kept"
    assert raw["contexts"][0] == {"name": "home", "etcd": ["n:1"], "prefix": "/x", "color": "blue"}
    assert raw["currentContext"] == "work"


def test_file_is_for_its_owner_only_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "new" / "config.yaml"
    save(Config(path).with_context("a", {"etcd": ["x:1"]}))
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_forgotten_context_is_no_longer_current(environment: dict[str, str]) -> None:
    config = load(Path(environment["BERTH_CONFIG"])).without_context("home")
    assert (config.current, [each.name for each in config.contexts]) == ("", ["work"])
