import inspect
import re

import pytest

from vault.core import errors
from vault.core.errors import (
    InvalidInputError,
    NotReadyError,
    RangeNotSatisfiableError,
    ThrottledError,
    UnavailableError,
    VaultError,
)


def every_error() -> list[type[VaultError]]:
    found = [VaultError]
    for cls in found:
        found.extend(cls.__subclasses__())
    return [cls for cls in found if cls.__module__ == errors.__name__]


class TestTree:
    @pytest.mark.parametrize("cls", every_error())
    def test_every_name_ends_in_error_and_every_class_says_what_it_is(
        self, cls: type[VaultError]
    ) -> None:
        assert cls.__name__.endswith("Error")
        assert inspect.getdoc(cls) != inspect.getdoc(cls.__mro__[1])

    def test_the_tree_that_is_drawn_is_the_tree_that_is_there(self) -> None:
        drawn = re.findall(r"^ *[*+-] (\w+Error)\b", errors.__doc__ or "", re.MULTILINE)

        assert {cls.__name__ for cls in every_error()} == set(drawn)

    def test_the_tree_is_drawn_with_each_class_below_its_parent(self) -> None:
        depth = {"*": 0, "+": 1, "-": 2}
        drawn = re.findall(r"^ *([*+-]) (\w+Error)", errors.__doc__ or "", re.MULTILINE)
        path: list[str] = []
        for mark, name in drawn:
            path = [*path[: depth[mark]], name]
            parents = [cls.__name__ for cls in getattr(errors, name).__mro__]

            assert path == parents[: len(path)][::-1]


class TestDetails:
    def test_line_based_input_is_blamed_by_its_line(self) -> None:
        assert (3, None) == (
            InvalidInputError("x", line=3).line,
            InvalidInputError("x").line,
        )

    def test_a_range_error_knows_the_size(self) -> None:
        assert 7 == RangeNotSatisfiableError("x", size=7).size

    @pytest.mark.parametrize("cls", [NotReadyError, ThrottledError, UnavailableError])
    def test_what_may_work_later_says_when(self, cls: type) -> None:
        assert cls("x").retry_after_s > 0
        assert 9 == cls("x", retry_after_s=9).retry_after_s
