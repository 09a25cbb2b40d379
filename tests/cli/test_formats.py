import pytest
from hypothesis import given
from hypothesis import strategies as st

from cli.ages import age, human_duration
from cli.blocks import Block, Rows, pairs, render
from cli.daemon import parse_amounts, parse_pairs, parse_port_range
from cli.settings import read_switches, take_global_options
from cli.tables import format_table
from client.errors import BadOption

MINUTE, HOUR, DAY = 60, 3600, 86400
YEAR = 365 * DAY


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (-3, "<invalid>"),
        (-1.5, "0s"),
        (0, "0s"),
        (0.9, "0s"),
        (95, "95s"),
        (119, "119s"),
        (120, "2m"),
        (5 * MINUTE + 30, "5m30s"),
        (5 * MINUTE, "5m"),
        (10 * MINUTE - 1, "9m59s"),
        (10 * MINUTE, "10m"),
        (125 * MINUTE, "125m"),
        (3 * HOUR, "3h"),
        (5 * HOUR + 10 * MINUTE, "5h10m"),
        (5 * HOUR + 59, "5h"),
        (8 * HOUR, "8h"),
        (30 * HOUR, "30h"),
        (48 * HOUR, "2d"),
        (3 * DAY + 4 * HOUR, "3d4h"),
        (8 * DAY, "8d"),
        (400 * DAY, "400d"),
        (2 * YEAR, "2y"),
        (3 * YEAR + 20 * DAY, "3y20d"),
        (9 * YEAR, "9y"),
    ],
)
def test_age_is_printed_as_kubectl_prints_it(seconds: float, text: str) -> None:
    assert human_duration(seconds) == text


@pytest.mark.parametrize(
    ("timestamp", "text"),
    [
        ("2027-01-15T07:59:00Z", "60s"),
        ("2027-01-15T08:00:01.500Z", "0s"),
        ("", "<unknown>"),
        ("soon", "<unknown>"),
    ],
)
def test_unknown_time_has_no_age(timestamp: str, text: str) -> None:
    assert age(timestamp, 1_800_000_000.0) == text


def test_table_columns_are_split_by_three_spaces() -> None:
    assert format_table(["NAME", "AGE"], [["web", "5m"], ["longer-name", "1\n2"]]) == [
        "NAME          AGE",
        "web           5m",
        "longer-name   1 2",
    ]
    assert format_table(["NAME", "AGE"], [["a", "b"]], with_header=False) == ["a   b"]


def test_block_aligns_its_values_and_indents_what_is_inside() -> None:
    block = Block(
        [
            ("Name", "web"),
            ("Labels", ("a=b", "c=d")),
            ("None", ()),
            ("Inner", Block([("X", "1")])),
            ("Rows", Rows(("Type", "Age"), [("Normal", "5m")])),
        ]
    )
    assert render(block) == [
        "Name:    web",
        "Labels:  a=b",
        "         c=d",
        "None:    <none>",
        "Inner:",
        "  X:  1",
        "Rows:",
        "  Type    Age",
        "  ----    ---",
        "  Normal  5m",
    ]


def test_pairs_are_ordered() -> None:
    assert pairs({"b": "2", "a": "1"}) == ("a=1", "b=2")


@pytest.mark.parametrize(
    ("arguments", "options", "rest"),
    [
        (["get", "tasks", "-n", "x"], {"namespace": "x"}, ["get", "tasks"]),
        (["-n", "x", "get", "tasks"], {"namespace": "x"}, ["get", "tasks"]),
        (["get", "-nx"], {"namespace": "x"}, ["get"]),
        (["get", "--namespace=x", "--etcd", "h:1"], {"namespace": "x", "etcd": "h:1"}, ["get"]),
        (["exec", "--", "head", "-n", "1"], {}, ["exec", "--", "head", "-n", "1"]),
        (["get", "--no-headers"], {}, ["get", "--no-headers"]),
    ],
)
def test_global_options_stand_anywhere(
    arguments: list[str], options: dict[str, str], rest: list[str]
) -> None:
    assert take_global_options(arguments) == (options, rest)


def test_global_option_without_value_is_told() -> None:
    with pytest.raises(BadOption, match="--etcd needs a value"):
        take_global_options(["get", "--etcd"])


@given(arguments=st.lists(st.text(max_size=4).filter(lambda text: not text.startswith("-")), max_size=5))
def test_other_arguments_are_kept_in_order(arguments: list[str]) -> None:
    assert take_global_options(arguments)[1] == arguments


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (["--wait=false"], ["--no-wait"]),
        (["--wait=true", "--force=true"], ["--wait", "--force"]),
        (["--force=false", "x"], ["x"]),
        (["--dry-run=client"], ["--dry-run"]),
        (["--selector=app=true", "--for=condition=Ready=false"],) * 2,
        (["-l", "a=true", "--", "--wait=false"], ["-l", "a=true", "--", "--wait=false"]),
    ],
)
def test_switches_may_be_written_as_in_kubectl(written: list[str], read: list[str]) -> None:
    assert read_switches(written) == read


def test_values_of_the_agent() -> None:
    assert parse_pairs("--label", ["a=b,c=d", "e=f=g"]) == {"a": "b", "c": "d", "e": "f=g"}
    assert parse_amounts("--reserve", ["cpu=500m,memory=1Gi"]) == {"cpu": 500, "memory": 2**30}
    assert parse_port_range("1-65535") == (1, 65535)


@pytest.mark.parametrize("text", ["", "5", "5-", "9-5", "0-5", "5-70000", "a-b"])
def test_bad_port_range_is_told(text: str) -> None:
    with pytest.raises(BadOption, match="--port-range"):
        parse_port_range(text)


@pytest.mark.parametrize("text", ["cpu", "=1", "cpu=lots"])
def test_bad_amount_names_its_option(text: str) -> None:
    with pytest.raises(BadOption, match="--reserve"):
        parse_amounts("--reserve", [text])
