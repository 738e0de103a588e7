import pytest

from vault.core import canonical, errors
from vault.trust.refusals import refusal, refusal_members

CROSSING = [
    cls
    for cls in vars(errors).values()
    if isinstance(cls, type)
    and issubclass(cls, errors.VaultError)
    and cls
    not in (
        # Other rooms' alone: the warden never raises them.
        errors.VaultError,
        errors.MalformedPacketError,
        errors.MalformedSignallingError,
        errors.UnsupportedOfferError,
        errors.RangeNotSatisfiableError,
        errors.NotReadyError,
        errors.NoMediaError,
        errors.ReasonRequiredError,
        errors.ApprovalRequiredError,
        errors.StepUpRequiredError,
        errors.SecondFactorRequiredError,
        errors.SessionLockedError,
        errors.PasswordChangeRequiredError,
        errors.FactorRefusedError,
        errors.IdentityRefusedError,
        errors.SameHandsError,
    )
]


@pytest.mark.parametrize("cls", CROSSING)
def test_an_error_comes_back_as_its_own_class(cls: type[errors.VaultError]) -> None:
    members = canonical.parse(canonical.dumps(refusal_members(cls("17 octets"))))
    error = refusal(members)

    assert (cls, "17 octets") == (type(error), str(error))


def test_the_time_to_ask_again_comes_back() -> None:
    error = refusal(refusal_members(errors.ThrottledError("slow", retry_after_s=77)))

    assert isinstance(error, errors.ThrottledError)
    assert error.retry_after_s == 77


def test_a_class_that_does_not_cross_travels_as_its_nearest_parent() -> None:
    error = refusal(refusal_members(errors.NoMediaError("none")))

    assert type(error) is errors.ConflictError


@pytest.mark.parametrize(
    "members",
    [
        None,
        [],
        {},
        {"class": "SystemExit", "message": "x"},
        {"class": "VaultError", "message": "x"},
        {"class": 5, "message": "x"},
    ],
)
def test_a_refusal_that_nobody_understands_releases_nothing(members: object) -> None:
    assert isinstance(refusal(members), errors.AuditUnavailableError)


@pytest.mark.parametrize("retry", [-1, 10**9, "5", None])
def test_an_absurd_time_is_ignored(retry: object) -> None:
    members = {"class": "ThrottledError", "message": 5, "retry_after_s": retry}
    error = refusal(members)

    assert isinstance(error, errors.ThrottledError)
    assert error.retry_after_s == 60
    assert not str(error)


def test_a_long_message_is_cut() -> None:
    members = refusal_members(errors.ConflictError("x" * 10_000))

    assert len(str(members["message"])) == 500
