import re

import pytest

from vault.core import errors
from vault.core.errors import NotFoundError, RangeNotSatisfiableError, VaultError
from vault.core.problems import INTERNAL, NOT_FOUND_DETAIL, TYPE_PREFIX, problem_for


def every_error() -> list[type[VaultError]]:
    """Walk every subclass there is, of whichever module was imported so far."""
    found = list(VaultError.__subclasses__())
    for cls in found:
        found.extend(cls.__subclasses__())
    return found


# Errors that remember more than their words.
MEMBERS: dict[type[VaultError], dict[str, object]] = {
    RangeNotSatisfiableError: {"size": 1},
    errors.FactorRefusedError: {"user_id": "who", "reason": "why"},
    errors.IdentityRefusedError: {"reason": "why"},
}


def made(cls: type[VaultError]) -> VaultError:
    return cls("what", **MEMBERS.get(cls, {}))


class TestEveryError:
    @pytest.mark.parametrize("cls", every_error())
    def test_has_a_status_a_type_and_a_title(self, cls: type[VaultError]) -> None:
        problem = problem_for(made(cls))

        assert 400 <= problem.status < 600
        assert re.fullmatch(f"{TYPE_PREFIX}[a-z-]+", problem.type)
        assert problem.title
        assert problem.detail

    def test_types_tell_apart_what_the_catcher_can_do(self) -> None:
        """
        Integrity has one type on purpose: how it is damaged is our business.  Why a
        proof was refused is for the trail alone.  Whoever may not agree lets somebody
        else do it, as after any other conflict about an approval.
        """
        alike = (
            errors.IntegrityError,
            errors.FactorRefusedError,
            errors.IdentityRefusedError,
            errors.SameHandsError,
        )
        types: dict[str, str] = {}
        for cls in every_error():
            if cls.__module__ != errors.__name__ or issubclass(cls, alike):
                continue
            slug = problem_for(made(cls)).type

            assert cls.__name__ == types.setdefault(slug, cls.__name__)

    def test_a_class_nobody_mapped_is_a_bug_and_not_a_500(self) -> None:
        with pytest.raises(TypeError):
            problem_for(VaultError("bare"))


class TestDesignSection9:
    @pytest.mark.parametrize(
        ("error", "status"),
        [
            (errors.NotAuthenticatedError("x"), 401),
            (errors.AccessDeniedError("x"), 403),
            (errors.ReasonRequiredError("x"), 403),
            (errors.NotFoundError("x"), 404),
            (errors.NotReadyError("x"), 409),
            (errors.NoMediaError("x"), 409),
            (errors.GoneError("x"), 410),
            (errors.MalformedSignallingError("x", line=1), 400),
            (errors.UnsupportedOfferError("x", line=1), 422),
            (errors.InvalidInputError("x"), 422),
            (errors.ThrottledError("x"), 429),
            (errors.SealBrokenError("x"), 502),
            (errors.AuditUnavailableError("x"), 503),
            (errors.KeyUnavailableError("x"), 503),
            (errors.SpoolFullError("x"), 503),
            (errors.NoRecipientKeyError("x"), 503),
        ],
    )
    def test_every_case_has_its_status(self, error: VaultError, status: int) -> None:
        assert status == problem_for(error).status

    def test_missing_and_forbidden_have_the_same_body(self) -> None:
        bodies = [
            problem_for(NotFoundError(message)).members()
            for message in ("no recording 17", "not in the workgroups of user 4")
        ]

        assert bodies[0] == bodies[1]
        assert NOT_FOUND_DETAIL == bodies[0]["detail"]

    @pytest.mark.parametrize(
        "cls", [errors.MalformedSignallingError, errors.UnsupportedOfferError]
    )
    def test_bad_sdp_is_answered_with_its_line(self, cls: type) -> None:
        assert 4 == problem_for(cls("x", line=4)).members()["line"]

    def test_no_line_is_no_member(self) -> None:
        assert "line" not in problem_for(errors.InvalidInputError("x")).members()

    @pytest.mark.parametrize(
        "cls",
        [cls for cls in every_error() if problem_for(made(cls)).status in {429, 503}],
    )
    def test_what_may_work_later_says_when(self, cls: type[VaultError]) -> None:
        headers = problem_for(made(cls)).headers()

        assert int(headers["Retry-After"]) > 0

    def test_not_ready_says_when_to_ask_again(self) -> None:
        error = errors.NotReadyError("x", retry_after_s=3)

        assert {"Retry-After": "3"} == problem_for(error).headers()

    def test_401_says_how_to_authenticate(self) -> None:
        headers = problem_for(errors.NotAuthenticatedError("x")).headers()

        assert {"WWW-Authenticate": 'Bearer realm="callvault"'} == headers

    def test_a_subclass_of_a_room_is_mapped_by_its_parent(self) -> None:
        class RoomsOwnError(errors.StoreUnavailableError):
            """Somewhere in a room."""

        problem = problem_for(RoomsOwnError("x"))
        RoomsOwnError.__module__ = "tests"

        assert "/problems/store-unavailable" == problem.type

    def test_an_unknown_exception_tells_nothing(self) -> None:
        assert (500, "/problems/internal") == (INTERNAL.status, INTERNAL.type)
        assert {} == INTERNAL.headers()
