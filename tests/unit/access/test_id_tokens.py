"""Claims: H37 to H40 of the catalogue, one by one."""

import base64
import hashlib

import pytest

from vault.access.id_tokens import (
    Claims,
    Client,
    SignInExpected,
    check_id_token,
    check_logout_token,
)
from vault.access.jws import Signed
from vault.core.errors import IdentityRefusedError

NOW_S = 1_800_000_000.0
CLIENT = Client(issuer="https://login.example", client_id="callvault")
EXPECTED = SignInExpected(nonce="of-this-sign-in", access_token="an-access-token")
EVENT = "http://schemas.openid.net/event/backchannel-logout"
SOUND: dict[str, object] = {
    "iss": "https://login.example",
    "sub": "1001",
    "aud": "callvault",
    "iat": NOW_S,
    "exp": NOW_S + 300,
    "nonce": "of-this-sign-in",
}
LOGOUT: dict[str, object] = {
    **{name: it for name, it in SOUND.items() if name != "nonce"},
    "jti": "j-1",
    "events": {EVENT: {}},
}


def without_none(claims: dict[str, object]) -> dict[str, object]:
    return {name: it for name, it in claims.items() if it is not None}


def checked(
    changes: dict[str, object],
    *,
    alg: str = "RS256",
    typ: str = "jwt",
    expected: SignInExpected = EXPECTED,
) -> Claims:
    signed = Signed(alg=alg, typ=typ, claims=without_none(SOUND | changes))
    return check_id_token(signed, CLIENT, expected, now_s=NOW_S)


def reason(changes: dict[str, object], **how: str) -> str:
    with pytest.raises(IdentityRefusedError) as refusal:
        checked(changes, **how)
    return refusal.value.reason


class TestParties:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"aud": "another-client"}, "audience"),
            ({"aud": "Callvault"}, "audience"),
            ({"aud": []}, "audience"),
            ({"aud": ["callvault", "another-client"]}, "audience"),
            ({"aud": None}, "claim-type"),
            ({"aud": {"callvault": 1}}, "claim-type"),
            ({"aud": ["callvault", 7]}, "claim-type"),
            ({"iss": "https://login.example/"}, "issuer"),
            ({"iss": "https://accounts.evil.test"}, "issuer"),
            ({"iss": None}, "claim-type"),
            ({"iss": ["https://login.example"]}, "claim-type"),
            ({"azp": "another-client"}, "authorized-party"),
            ({"azp": ["callvault"]}, "claim-type"),
        ],
    )
    def test_h37_others_are_refused(
        self, changes: dict[str, object], expected: str
    ) -> None:
        assert expected == reason(changes)

    @pytest.mark.parametrize("typ", ["at+jwt", "logout+jwt", "dpop+jwt"])
    def test_h37_another_kind_of_token_proves_nothing(self, typ: str) -> None:
        assert "token-type" == reason({}, typ=typ)

    @pytest.mark.parametrize(
        "changes", [{}, {"aud": ["callvault"]}, {"azp": "callvault"}]
    )
    def test_ours_are_taken(self, changes: dict[str, object]) -> None:
        assert "1001" == checked(changes).subject


class TestOfThisSignIn:
    def test_h38_another_nonce_is_refused(self) -> None:
        assert "nonce" == reason({"nonce": "of-another-sign-in"})

    @pytest.mark.parametrize("nonce", [None, "", 7, ["of-this-sign-in"]])
    def test_h38_so_is_none(self, nonce: object) -> None:
        assert "claim-type" == reason({"nonce": nonce})

    @pytest.mark.parametrize(
        ("auth_time", "expected"),
        [(None, "claim-type"), (NOW_S - 200, "auth-time"), ("now", "claim-type")],
    )
    def test_a_proof_of_before_is_none_now(
        self, auth_time: object, expected: str
    ) -> None:
        again = SignInExpected(
            nonce="of-this-sign-in",
            access_token="an-access-token",
            authenticated_since_s=int(NOW_S) - 100,
        )

        with pytest.raises(IdentityRefusedError) as refusal:
            checked({"auth_time": auth_time}, expected=again)

        assert expected == refusal.value.reason


class TestTime:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"exp": NOW_S - 60}, "expired"),
            ({"exp": None}, "claim-type"),
            ({"exp": "soon"}, "claim-type"),
            ({"exp": True}, "claim-type"),
            ({"exp": -1}, "claim-type"),
            ({"exp": 1e300}, "claim-type"),
            ({"exp": float("nan")}, "claim-type"),
            ({"iat": NOW_S + 61}, "not-yet"),
            ({"iat": NOW_S - 661}, "too-old"),
            ({"iat": None}, "claim-type"),
            ({"nbf": NOW_S + 61}, "not-yet"),
            ({"nbf": "now"}, "claim-type"),
        ],
    )
    def test_h39_another_time_is_refused(
        self, changes: dict[str, object], expected: str
    ) -> None:
        assert expected == reason(changes)

    @pytest.mark.parametrize(
        "changes",
        [
            {"exp": NOW_S - 59},
            {"iat": NOW_S + 60},
            {"iat": NOW_S - 659},
            {"nbf": NOW_S + 60},
        ],
    )
    def test_h39_a_minute_of_skew_is_no_other_time(
        self, changes: dict[str, object]
    ) -> None:
        assert "1001" == checked(changes).subject


class TestAccessToken:
    @pytest.mark.parametrize(
        ("alg", "name"),
        [
            ("RS256", "sha256"),
            ("PS256", "sha256"),
            ("ES256", "sha256"),
            ("EdDSA", "sha512"),
        ],
    )
    def test_h40_its_digest_is_that_of_the_algorithm(self, alg: str, name: str) -> None:
        digest = hashlib.new(name, b"an-access-token").digest()
        half = base64.urlsafe_b64encode(digest[: len(digest) // 2]).decode().rstrip("=")

        assert "1001" == checked({"at_hash": half}, alg=alg).subject

    def test_h40_a_digest_by_an_unknown_algorithm_does_not_match(self) -> None:
        assert "at-hash" == reason({"at_hash": "anything"}, alg="RS1024")

    @pytest.mark.parametrize(
        ("at_hash", "expected"),
        [("wrong", "at-hash"), ("", "claim-type"), (7, "claim-type"), ("ü", "at-hash")],
    )
    def test_h40_another_digest_is_refused(
        self, at_hash: object, expected: str
    ) -> None:
        assert expected == reason({"at_hash": at_hash})


class TestSubject:
    @pytest.mark.parametrize(
        "sub", [None, "", 7, "x" * 256, "ü", "a\nb", "a\0b", ["1001"]]
    )
    def test_h40_is_a_short_ascii_text(self, sub: object) -> None:
        assert reason({"sub": sub}) in {"subject", "claim-type"}


class TestTexts:
    @pytest.mark.parametrize(
        "groups",
        [
            "auditors",
            [["auditors"]],
            ["auditors", None],
            ["auditors", 7],
            ["a\0"],
            ["\ud800"],
            ["x" * 1025],
            ["x"] * 1001,
            {"auditors": True},
            None,
        ],
    )
    def test_h40_another_type_is_not_made_into_a_list(self, groups: object) -> None:
        with pytest.raises(IdentityRefusedError) as refusal:
            Claims({"groups": groups}).texts("groups")

        assert "claim-type" == refusal.value.reason

    def test_none_of_that_name_is_an_empty_list(self) -> None:
        assert frozenset() == Claims({}).texts("groups")


class TestLogout:
    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({"nonce": "x"}, "token-type"),
            ({"events": None}, "token-type"),
            ({"events": [EVENT]}, "token-type"),
            ({"events": {EVENT: "yes"}}, "token-type"),
            ({"events": {"another": {}}}, "token-type"),
            ({"aud": "another"}, "audience"),
            ({"iss": "https://accounts.evil.test"}, "issuer"),
            ({"sub": None}, "subject"),
            ({"sub": 7}, "claim-type"),
            ({"sid": ""}, "claim-type"),
            ({"jti": None}, "claim-type"),
            ({"exp": NOW_S - 60}, "expired"),
            ({"exp": None}, "claim-type"),
            ({"iat": NOW_S - 661}, "too-old"),
        ],
    )
    def test_what_is_none_is_refused(
        self, changes: dict[str, object], expected: str
    ) -> None:
        signed = Signed(
            alg="RS256", typ="logout+jwt", claims=without_none(LOGOUT | changes)
        )

        with pytest.raises(IdentityRefusedError) as refusal:
            check_logout_token(signed, CLIENT, now_s=NOW_S)

        assert expected == refusal.value.reason

    @pytest.mark.parametrize("typ", ["", "jwt", "at+jwt"])
    def test_it_calls_itself_one(self, typ: str) -> None:
        signed = Signed(alg="RS256", typ=typ, claims=LOGOUT)

        with pytest.raises(IdentityRefusedError) as refusal:
            check_logout_token(signed, CLIENT, now_s=NOW_S)

        assert "token-type" == refusal.value.reason

    @pytest.mark.parametrize(
        ("changes", "expected"),
        [
            ({}, ("1001", "")),
            ({"sid": "s-1"}, ("1001", "s-1")),
            ({"sid": "s-1", "sub": None}, ("", "s-1")),
        ],
    )
    def test_it_ends_a_session_a_person_or_both(
        self, changes: dict[str, object], expected: tuple[str, str]
    ) -> None:
        signed = Signed(
            alg="RS256", typ="logout+jwt", claims=without_none(LOGOUT | changes)
        )

        word = check_logout_token(signed, CLIENT, now_s=NOW_S)

        assert expected == (word.subject, word.provider_session)
