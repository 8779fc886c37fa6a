"""The example of docs/testing.md is a test that passes."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

PAGE = Path(__file__).parents[4] / "docs" / "testing.md"
pytest_plugins = ("pytester",)


def test_the_pytest_example_passes(pytester: pytest.Pytester) -> None:
    (example,) = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text(), re.MULTILINE | re.DOTALL)
    pytester.makepyfile(example)
    pytester.makeini("[pytest]\nasyncio_mode = auto\nasyncio_default_fixture_loop_scope = function\n")
    done = pytester.runpytest_inprocess("-p", "no:cacheprovider")
    done.assert_outcomes(passed=2)


def test_the_page_names_all_that_there_is() -> None:
    from modelwire.subscriber.testing import FakeControlPlane

    names = {name for name in vars(FakeControlPlane) if not name.startswith("_")}
    assert names == {"url", "put", "remove", "cut", "freeze", "thaw"}
    assert all(re.search(rf"\bplane\.{name}\b", PAGE.read_text()) for name in names)
