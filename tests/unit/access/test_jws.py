"""Signed tokens: H30 to H36 of the catalogue, whatever the library would say."""

import base64
import json

import pytest
from joserfc.jwk import ECKey, RSAKey

from tests.simulators.hostile_idp import HostileIdp, raw_token
from vault.access.jws import ALGORITHMS, KeySet, open_signed
from vault.core.errors import IdentityRefusedError

CLAIMS = {"iss": "https://login.example", "sub": "1001"}


class Published:
    """The keys of a provider, and how often they were asked for anew."""

    def __init__(self, idp: HostileIdp) -> None:
        self.idp = idp
        self.renewed = 0

    def keys(self) -> KeySet:
        return KeySet.parse(json.dumps({"keys": self.idp.published}).encode())

    def renewed_keys(self) -> KeySet:
        self.renewed += 1
        return self.keys()


@pytest.fixture
def idp() -> HostileIdp:
    return HostileIdp("https://login.example")


def reason(idp: HostileIdp, token: str) -> str:
    with pytest.raises(IdentityRefusedError) as refusal:
        open_signed(token, Published(idp))
    return refusal.value.reason


class TestWhatIsTaken:
    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_every_algorithm_of_the_list(self, idp: HostileIdp, alg: str) -> None:
        signed = open_signed(idp.sign(CLAIMS, alg), Published(idp))

        assert (alg, "", CLAIMS) == (signed.alg, signed.typ, signed.claims)

    def test_without_an_identifier_where_one_key_fits(self, idp: HostileIdp) -> None:
        signed = open_signed(idp.sign(CLAIMS, "ES256", kid=None), Published(idp))

        assert CLAIMS == signed.claims

    def test_and_not_where_two_do(self, idp: HostileIdp) -> None:
        other = RSAKey.generate_key(2048, {"kid": "other"})
        idp.published.append(other.as_dict(private=False))

        assert "key-unknown" == reason(idp, idp.sign(CLAIMS, kid=None))

    @pytest.mark.parametrize(
        ("typ", "expected"),
        [
            ("JWT", "jwt"),
            ("application/logout+jwt", "logout+jwt"),
            ("AT+JWT", "at+jwt"),
        ],
    )
    def test_a_type_is_told_in_one_spelling(
        self, idp: HostileIdp, typ: str, expected: str
    ) -> None:
        signed = open_signed(idp.sign(CLAIMS, typ=typ), Published(idp))

        assert expected == signed.typ

    def test_a_key_that_is_missing_is_looked_for_once_more(
        self, idp: HostileIdp
    ) -> None:
        published = Published(idp)

        with pytest.raises(IdentityRefusedError):
            open_signed(idp.sign(CLAIMS, kid="nobody's"), published)

        assert published.renewed == 1


class TestWhatIsNot:
    @pytest.mark.parametrize(
        "alg", ["none", "None", "nOnE", "NONE", "", "RS256 ", "rs256", "RS512", "ES384"]
    )
    def test_h30_another_algorithm(self, idp: HostileIdp, alg: str) -> None:
        token = raw_token({"alg": alg, "kid": "rsa"}, CLAIMS, b"x")

        assert "algorithm" == reason(idp, token)

    @pytest.mark.parametrize("alg", [None, 7, ["RS256"], {"RS256": 1}, True])
    def test_h30_an_algorithm_that_is_no_text(
        self, idp: HostileIdp, alg: object
    ) -> None:
        assert "algorithm" == reason(idp, raw_token({"alg": alg}, CLAIMS, b"x"))

    def test_h30_no_signature(self, idp: HostileIdp) -> None:
        assert "token-malformed" == reason(idp, raw_token({"alg": "none"}, CLAIMS))

    @pytest.mark.parametrize("alg", ["HS256", "HS384", "HS512"])
    @pytest.mark.parametrize("form", ["pem", "jwk", "n"])
    def test_h31_the_public_key_as_a_shared_secret(
        self, idp: HostileIdp, alg: str, form: str
    ) -> None:
        public = {
            "pem": idp.rsa.as_pem(private=False),
            "jwk": json.dumps(idp.rsa.as_dict(private=False)).encode(),
            "n": str(idp.rsa.as_dict()["n"]).encode(),
        }[form]

        assert "algorithm" == reason(
            idp, idp.sign(CLAIMS, alg, secret=public, kid="rsa")
        )

    def test_h31_a_shared_secret_that_was_published(self, idp: HostileIdp) -> None:
        idp.published.append({"kty": "oct", "k": "c2VjcmV0", "kid": "oct"})

        assert "algorithm" == reason(
            idp, idp.sign(CLAIMS, "HS256", secret=b"secret", kid="oct")
        )

    def test_h32_a_key_in_the_header(self, idp: HostileIdp) -> None:
        mine = RSAKey.generate_key(2048, {"kid": "rsa"})

        assert "header" == reason(
            idp, idp.sign(CLAIMS, key=mine, jwk=mine.as_dict(private=False))
        )

    @pytest.mark.parametrize("member", ["jku", "x5u", "x5c"])
    def test_h33_where_a_key_would_be(self, idp: HostileIdp, member: str) -> None:
        header = {member: "https://evil.test/keys"}

        assert "header" == reason(idp, idp.sign(CLAIMS, **header))

    @pytest.mark.parametrize(
        "kid",
        [
            "../../../../dev/null",
            "/etc/passwd",
            "rsa' OR '1'='1",
            "rsa'; DROP TABLE session; --",
            "rsa\x00",
            "rsa%00",
            "RSA",
            "http://127.0.0.1/keys",
            "",
        ],
    )
    def test_h34_an_identifier_that_nobody_published(
        self, idp: HostileIdp, kid: str
    ) -> None:
        assert "key-unknown" == reason(idp, idp.sign(CLAIMS, kid=kid))

    @pytest.mark.parametrize("kid", [7, True, ["rsa"], {"a": 1}, "k" * 300])
    def test_h34_an_identifier_that_is_no_short_text(
        self, idp: HostileIdp, kid: object
    ) -> None:
        assert "header" == reason(idp, idp.sign(CLAIMS, kid=kid))

    @pytest.mark.parametrize(
        "header",
        [
            {"crit": ["vault-knows-not"], "vault-knows-not": True},
            {"crit": []},
            {"crit": ["b64"], "b64": False},
            {"b64": False},
            {"zip": "DEF"},
            {"typ": 7},
        ],
    )
    def test_h35_what_would_have_to_be_understood(
        self, idp: HostileIdp, header: dict[str, object]
    ) -> None:
        assert "header" == reason(idp, idp.sign(CLAIMS, **header))

    @pytest.mark.parametrize(
        ("alg", "kid"), [("ES256", "rsa"), ("RS256", "ec"), ("EdDSA", "ec")]
    )
    def test_h36_a_key_of_another_kind(
        self, idp: HostileIdp, alg: str, kid: str
    ) -> None:
        assert "key-unknown" == reason(idp, idp.sign(CLAIMS, alg, kid=kid))

    def test_h36_a_key_that_was_published_for_something_else(
        self, idp: HostileIdp
    ) -> None:
        idp.published = [
            {**idp.rsa.as_dict(private=False), "alg": "RS256"},
            {**idp.ec.as_dict(private=False), "use": "enc"},
            {**idp.ed.as_dict(private=False), "key_ops": ["sign"]},
        ]

        reasons = [
            reason(idp, idp.sign(CLAIMS, alg)) for alg in ("PS256", "ES256", "EdDSA")
        ]

        assert ["key-unknown"] * 3 == reasons

    def test_h36_another_key_of_the_right_kind(self, idp: HostileIdp) -> None:
        mine = RSAKey.generate_key(2048, {"kid": "rsa"})

        assert "signature" == reason(idp, idp.sign(CLAIMS, key=mine))

    @pytest.mark.parametrize("alg", ALGORITHMS)
    def test_h36_another_payload(self, idp: HostileIdp, alg: str) -> None:
        head, _, signature = idp.sign(CLAIMS, alg).split(".")
        other = base64.urlsafe_b64encode(b'{"sub":"1002"}').decode().rstrip("=")

        assert "signature" == reason(idp, f"{head}.{other}.{signature}")

    @pytest.mark.parametrize(
        "token",
        [
            "",
            "a.b",
            "a.b.c.d",
            "a.b.c.d.e",
            "a.b.c",
            "e30.e30.AA",
            "e30.e30.AA==",
            " e30.e30.AA",
            "e30.e30.AA\n",
            "e3A.e30.AB",
            "W10.e30.AA",
            "e30." + "A" * 20_000 + ".AA",
        ],
    )
    def test_what_is_no_token(self, idp: HostileIdp, token: str) -> None:
        assert reason(idp, token) in {"token-malformed", "algorithm"}

    def test_a_member_that_stands_twice(self, idp: HostileIdp) -> None:
        twice = base64.urlsafe_b64encode(b'{"alg":"RS256","alg":"none"}').decode()

        assert "token-malformed" == reason(idp, f"{twice.rstrip('=')}.e30.AA")


class TestKeySets:
    @pytest.mark.parametrize(
        "octets",
        [b"", b"[]", b"{}", b'{"keys": {}}', b'{"keys": null}', b"\xff", b'{"keys":[}'],
    )
    def test_something_else_is_refused(self, octets: bytes) -> None:
        with pytest.raises(IdentityRefusedError) as refusal:
            KeySet.parse(octets)

        assert "provider-keys" == refusal.value.reason

    def test_too_many_are_refused(self) -> None:
        with pytest.raises(IdentityRefusedError):
            KeySet.parse(json.dumps({"keys": [{}] * 65}).encode())

    def test_keys_of_no_use_are_left_out(self, idp: HostileIdp) -> None:
        wide = ECKey.generate_key("P-384", {"kid": "wide"}).as_dict(private=False)
        rsa = idp.rsa.as_dict(private=False)
        useless = [
            7,
            {},
            {"kty": "oct", "k": "AA"},
            {"kty": ["RSA"]},
            {"kty": "RSA", "n": 7, "e": "AQAB"},
            rsa | {"n": "q" * 170},
            rsa | {"n": "q" * 3000},
            rsa | {"e": "q" * 40},
            rsa | {"n": "!" * 400},
            rsa | {"kid": 7},
            rsa | {"key_ops": "verify"},
        ]

        keys = KeySet.parse(json.dumps({"keys": [*useless, wide, rsa]}).encode())

        assert 2 == len(keys)
        assert keys.find("ES256", "wide") is None

    def test_a_point_that_is_on_no_curve_signs_nothing(self, idp: HostileIdp) -> None:
        ec = idp.ec.as_dict(private=False)
        idp.published = [ec | {"x": ec["y"]}]

        assert "signature" == reason(idp, idp.sign(CLAIMS, "ES256"))

    def test_private_members_are_not_kept(self, idp: HostileIdp) -> None:
        octets = json.dumps({"keys": [idp.rsa.as_dict(private=True)]}).encode()

        found = KeySet.parse(octets).find("RS256", "rsa")

        assert found is not None
        assert {"kty", "n", "e"} == set(found.material)
