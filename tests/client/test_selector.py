import pytest

from client.errors import BadOption
from client.selector import matches, parse_selector

LABELS = {"app": "web", "tier": "front", "empty": ""}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", True),
        ("app=web", True),
        ("app==web", True),
        ("app=api", False),
        ("app!=api", True),
        ("missing!=x", True),
        ("app in (api, web)", True),
        ("app in (api)", False),
        ("app notin (api)", True),
        ("missing notin (x)", True),
        ("app", True),
        ("missing", False),
        ("!missing", True),
        ("! app", False),
        ("empty=", True),
        ("app=web,tier in (front,back),!x", True),
        ("app=web,tier=back", False),
    ],
)
def test_selector_matches_as_kubectl_does(text: str, expected: bool) -> None:
    assert matches(parse_selector(text), LABELS) is expected


@pytest.mark.parametrize("text", ["=", "a b", "a in web", "a in ()(", "a=b=c", ",", "a,,b"])
def test_term_that_cannot_be_read_is_named(text: str) -> None:
    with pytest.raises(BadOption, match="can't be read"):
        parse_selector(text)
