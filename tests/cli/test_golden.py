"""Every printed form is as it was; `python -m tests.cli.golden` writes the files anew."""

import pytest

from tests.cli import golden


@pytest.mark.parametrize("name", golden.SESSIONS)
def test_printed_form_is_as_it_was(name: str) -> None:
    kept = (golden.FOLDER / f"{name}.txt").read_text(encoding="utf-8")
    assert golden.render(name).splitlines() == kept.splitlines(), (
        "look at it, and then: python -m tests.cli.golden"
    )


def test_every_file_belongs_to_a_session() -> None:
    assert {path.stem for path in golden.FOLDER.glob("*.txt")} == set(golden.SESSIONS)
