import pytest

from vault.access.permissions import Permission, Role
from vault.access.policy import HeldRight, Person
from vault.commands.people import nobody_left
from vault.core.flow import VisibilityScope
from vault.core.ids import UserId


def person(
    name: str,
    *roles: Role,
    rights: tuple[Permission, ...] = (),
    disabled: bool = False,
    lapsed: bool = False,
) -> Person:
    return Person(
        id=UserId(name),
        name=name,
        roles=frozenset(roles),
        workgroups=frozenset(),
        rights=tuple(
            HeldRight(
                permission=one,
                reach=VisibilityScope(user_id=UserId(name), everything=True),
            )
            for one in rights
        ),
        disabled=disabled,
        lapsed=lapsed,
    )


ADAM = person("adam", Role.ADMINISTRATOR)
SHUT = person("adam", Role.ADMINISTRATOR, disabled=True)


@pytest.mark.parametrize(
    "others",
    [
        (),
        (person("sam", Role.SUPERVISOR), person("olga", Role.OFFICER)),
        (person("anna", Role.ADMINISTRATOR, disabled=True),),
        (person("anna", Role.ADMINISTRATOR, lapsed=True),),
    ],
    ids=["alone", "no-others", "disabled", "lapsed"],
)
def test_the_last_who_can_administer_is_said_to_be(others: tuple[Person, ...]) -> None:
    (said,) = nobody_left((ADAM, *others), SHUT)

    assert "adam is the last person who may administer people and say who" in said
    assert "callvault user enable" in said


def test_taking_the_role_away_is_said_too() -> None:
    assert nobody_left([ADAM], person("adam", Role.AGENT))


def test_only_what_nobody_may_any_more_is_named() -> None:
    other = person("uwe", rights=(Permission.ACCESS_USER_EDIT,))

    (said,) = nobody_left([ADAM, other], SHUT)

    assert "the last person who may say who may do what" in said


@pytest.mark.parametrize(
    ("others", "after"),
    [
        ([ADAM, person("anna", Role.ADMINISTRATOR)], SHUT),
        ([ADAM], person("adam", Role.ADMINISTRATOR, Role.OFFICER)),
        ([ADAM, person("sam")], person("sam", disabled=True)),
        ([SHUT], SHUT),
    ],
    ids=["another", "stays", "somebody-else", "was-none"],
)
def test_everything_else_is_silent(others: list[Person], after: Person) -> None:
    assert () == nobody_left(others, after)
