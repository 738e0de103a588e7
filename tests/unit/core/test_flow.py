import dataclasses
import inspect

import pytest

from vault.core import flow
from vault.core.flow import NOBODY, Actor, ActorKind, CallFacts, StreamStatus

CLASSES = [
    cls
    for _, cls in inspect.getmembers(flow, inspect.isclass)
    if dataclasses.is_dataclass(cls) and cls.__module__ == flow.__name__
]


class TestEveryClass:
    @pytest.mark.parametrize("cls", CLASSES)
    def test_is_frozen_slotted_and_made_by_keyword(self, cls: type) -> None:
        by_keyword = {part.kw_only for part in dataclasses.fields(cls)}

        assert (True, {True}) == (cls.__dataclass_params__.frozen, by_keyword)
        assert "__slots__" in vars(cls)

    @pytest.mark.parametrize("cls", CLASSES)
    def test_says_what_it_is(self, cls: type) -> None:
        assert "(" not in (inspect.getdoc(cls) or "(")[:20]


class TestActors:
    @pytest.mark.parametrize(
        ("actor", "spelled"),
        [
            (Actor(kind=ActorKind.USER, id="u1"), "user:u1"),
            (Actor(kind=ActorKind.OPERATOR, id="1000"), "os:1000"),
            (Actor(kind=ActorKind.PROCESS, id="tap"), "process:tap"),
            (NOBODY, "unknown"),
        ],
    )
    def test_an_actor_is_spelled_as_the_trail_has_it(
        self, actor: Actor, spelled: str
    ) -> None:
        assert spelled == str(actor)


class TestDefaults:
    def test_a_default_is_shared_and_cannot_be_changed(self) -> None:
        with pytest.raises(TypeError):
            CallFacts().attributes["a"] = "b"
        with pytest.raises(TypeError):
            StreamStatus(label="a", codec="b", suite="c").packets_rejected["x"] = 1
