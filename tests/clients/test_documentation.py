"""docs/clients.md shows the files that the tests run."""

from __future__ import annotations

import re
from pathlib import Path

HERE = Path(__file__).parent
PAGE = HERE.parents[1] / "docs" / "clients.md"


def test_the_page_shows_each_set_up_as_it_is_tested() -> None:
    shown = re.findall(r"^```(?:js|python)\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    tested = {path.name: path.read_text() for path in (HERE / "setup").iterdir() if path.is_file()}
    assert len(tested) > 1
    assert sorted(shown) == sorted(tested.values())
