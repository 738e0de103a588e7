import re
from collections.abc import Callable
from itertools import count

import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from vault.access.credentials import digest_secrets
from vault.core.secrets import SecretBytes
from vault.sip.digest import (
    MD5,
    SHA_256,
    Challenger,
    DigestAnswer,
    DigestRefusedError,
    Flaw,
    hashed,
)
from vault.sip.messages import Headers, Request

TOKEN = "cvd_correct-horse"
SECRETS = digest_secrets("pbx", TOKEN)
URI = "sip:srs@192.0.2.1"
KEY = SecretBytes(bytes(range(32)))


def secret_of(username: str, algorithm: str) -> bytes | None:
    known = {("pbx", SHA_256): SECRETS.sha256, ("pbx", MD5): SECRETS.md5}
    ha1 = known.get((username, algorithm))
    return None if ha1 is None else ha1.encode()


def no_md5(username: str, algorithm: str) -> bytes | None:
    return None if algorithm == MD5 else secret_of(username, algorithm)


def invite(authorization: str | None = None, **changed: str | bytes) -> Request:
    return Request(
        method=str(changed.get("method", "INVITE")),
        uri=str(changed.get("uri", URI)),
        headers=Headers([("Authorization", authorization)] if authorization else []),
        body=bytes(changed.get("body", b"v=0\r\n")),  # type: ignore[arg-type]
    )


def parameters(challenge: str) -> dict[str, str]:
    return dict(re.findall(r'([a-z]+)="?([^",]+(?:,auth-int)?)"?', challenge[7:]))


class Phone:
    """Answers challenges as RFC 7616 says, with every part open to be spoiled."""

    def __init__(self, challenger: Challenger, now_s: float = 100.0) -> None:
        (challenge,) = challenger.challenge(now_s)
        self.nonce = parameters(challenge)["nonce"]
        self._counts = count(1)

    def answer(self, **changed: str) -> str:
        parts = {
            "username": "pbx",
            "realm": "callvault",
            "nonce": self.nonce,
            "uri": URI,
            "qop": "auth",
            "nc": f"{next(self._counts):08x}",
            "cnonce": "0a4f113b",
            "algorithm": SHA_256,
            "password": TOKEN,
            "method": "INVITE",
            "body": "v=0\r\n",
        } | changed
        algorithm = parts["algorithm"]

        def h(text: str) -> str:
            return hashed(algorithm, text.encode("utf-8", "surrogateescape")).decode()

        a2 = f"{parts['method']}:{parts['uri']}"
        if parts["qop"] == "auth-int":
            a2 += f":{h(parts['body'])}"
        ha1 = h(f"{parts['username']}:{parts['realm']}:{parts['password']}")
        middle = ":".join(parts[name] for name in ("nonce", "nc", "cnonce", "qop"))
        response = parts.get("response", h(f"{ha1}:{middle}:{h(a2)}"))
        return (
            f'Digest username="{parts["username"]}", realm="{parts["realm"]}", '
            f'nonce="{parts["nonce"]}", uri="{parts["uri"]}", '
            f'response="{response}", algorithm={algorithm}, '
            f'cnonce="{parts["cnonce"]}", qop={parts["qop"]}, nc={parts["nc"]}'
        )


@pytest.fixture
def challenger() -> Challenger:
    return Challenger(KEY)


@pytest.fixture
def phone(challenger: Challenger) -> Phone:
    return Phone(challenger)


def refused(
    challenger: Challenger,
    request: Request,
    now_s: float = 101.0,
    secrets: Callable[[str, str], bytes | None] = secret_of,
) -> DigestRefusedError:
    with pytest.raises(DigestRefusedError) as caught:
        challenger.check(request, secrets, now_s)
    return caught.value


class TestRfc7616:
    """The example of section 3.9.1, which has both algorithms."""

    ANSWERS = (
        (MD5, "8ca523f5e9506fed4657c9700eebdbec"),
        (SHA_256, "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
    )

    @pytest.mark.parametrize(("algorithm", "response"), ANSWERS)
    def test_the_answer_of_the_example_is_the_one_we_expect(
        self, algorithm: str, response: str
    ) -> None:
        answer = DigestAnswer(
            username="Mufasa",
            nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v",
            uri="/dir/index.html",
            response=response,
            algorithm=algorithm,
            cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ",
            qop="auth",
            nc="00000001",
        )
        ha1 = hashed(algorithm, b"Mufasa:http-auth@example.org:Circle of Life")

        assert response.encode() == answer.expected(ha1, "GET", b"")

    def test_that_of_rfc_2617_is_right_too(self) -> None:
        answer = DigestAnswer(
            username="Mufasa",
            nonce="dcd98b7102dd2f0e8b11d0f600bfb0c093",
            uri="/dir/index.html",
            response="",
            algorithm=MD5,
            cnonce="0a4f113b",
            qop="auth",
            nc="00000001",
        )
        ha1 = hashed(MD5, b"Mufasa:testrealm@host.com:Circle Of Life")

        assert b"6629fae49393a05397450978507c4ef1" == answer.expected(ha1, "GET", b"")

    def test_the_parameters_of_its_request_are_read(self) -> None:
        realm = "http-auth@example.org"
        challenger = Challenger(KEY, realm)
        answer = (
            'Digest username="Mufasa", realm="http-auth@example.org", '
            'uri="/dir/index.html", algorithm=SHA-256, '
            'nonce="7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v", nc=00000001, '
            'cnonce="f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ", qop=auth, '
            f'response="{self.ANSWERS[1][1]}", '
            'opaque="FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS"'
        )
        request = invite(answer, method="GET", uri="/dir/index.html")
        ha1 = hashed(SHA_256, b"Mufasa:http-auth@example.org:Circle of Life")

        # Right, and under a nonce that is not ours: that is what stale means.
        assert refused(challenger, request, secrets=lambda *_: ha1).flaw is Flaw.STALE


class TestAnotherImplementation:
    """httpx answers challenges of ours; it was written by others, for HTTP."""

    @pytest.mark.parametrize("algorithm", [SHA_256, MD5])
    def test_its_answers_are_right_and_each_counts_once(self, algorithm: str) -> None:
        challenger = Challenger(KEY)
        auth = httpx.DigestAuth("pbx", TOKEN)
        asked = httpx.Request("INVITE", "http://srs/session;a=b?c=d")
        flow = auth.auth_flow(asked)
        next(flow)
        (challenge,) = challenger.challenge(5.0, (algorithm,))
        headers = {"WWW-Authenticate": challenge}
        answered = flow.send(httpx.Response(401, headers=headers, request=asked))
        first = answered.headers["Authorization"]
        again = next(auth.auth_flow(httpx.Request("INVITE", asked.url)))
        second = again.headers["Authorization"]

        assert ["pbx", "pbx"] == [
            challenger.check(invite(one, uri="/session;a=b?c=d"), secret_of, 6.0)
            for one in (first, second)
        ]
        replayed = refused(challenger, invite(first, uri="/session;a=b?c=d"), 6.0)
        assert replayed.flaw is Flaw.REPLAYED

    def test_a_wrong_password_is_wrong_there_too(self) -> None:
        challenger = Challenger(KEY)
        auth = httpx.DigestAuth("pbx", TOKEN + "x")
        asked = httpx.Request("INVITE", "http://srs/session")
        flow = auth.auth_flow(asked)
        next(flow)
        headers = {"WWW-Authenticate": challenger.challenge(5.0)[0]}
        answered = flow.send(httpx.Response(401, headers=headers, request=asked))
        wrong = invite(answered.headers["Authorization"], uri="/session")

        assert refused(challenger, wrong, 6.0).flaw is Flaw.WRONG


class TestChallenge:
    def test_the_best_algorithm_comes_first_and_each_has_a_nonce_of_its_own(
        self, challenger: Challenger
    ) -> None:
        best, other = challenger.challenge(1.0, (SHA_256, MD5))

        assert (SHA_256, MD5) == tuple(
            parameters(one)["algorithm"] for one in (best, other)
        )
        assert parameters(best)["nonce"] != parameters(other)["nonce"]
        assert 'realm="callvault"' in best
        assert 'qop="auth,auth-int"' in best
        assert "stale" not in best

    def test_stale_is_said_where_it_is(self, challenger: Challenger) -> None:
        assert challenger.challenge(1.0, stale=True)[0].endswith(", stale=true")

    def test_a_challenge_costs_no_memory(self, challenger: Challenger) -> None:
        for _ in range(1000):
            challenger.challenge(1.0)

        assert not challenger._counts

    def test_the_key_is_in_no_repr(self, challenger: Challenger) -> None:
        assert bytes(range(8)).hex() not in repr(vars(challenger))


class TestRightAnswers:
    @pytest.mark.parametrize("qop", ["auth", "auth-int"])
    @pytest.mark.parametrize("algorithm", [SHA_256, MD5])
    def test_name_who_knows_the_secret(
        self, challenger: Challenger, phone: Phone, qop: str, algorithm: str
    ) -> None:
        request = invite(phone.answer(qop=qop, algorithm=algorithm))

        assert "pbx" == challenger.check(request, secret_of, 101.0)

    def test_count_up_under_one_nonce(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        for nc in ("00000001", "00000002", "0000000a", "FFFFFFFF"):
            request = invite(phone.answer(nc=nc))

            assert "pbx" == challenger.check(request, secret_of, 101.0)

    @pytest.mark.parametrize(
        "uri",
        [
            URI + ";transport=tls",
            "sip:srs@192.0.2.1;lr?Subject=x",
            "SIP:srs@192.0.2.1",
        ],
    )
    def test_may_differ_in_parameters_of_the_uri(
        self, challenger: Challenger, phone: Phone, uri: str
    ) -> None:
        request = invite(phone.answer(), uri=uri)

        assert "pbx" == challenger.check(request, secret_of, 101.0)

    def test_may_be_spelled_in_many_ways(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        text = phone.answer()
        texts = [
            text.replace("Digest ", "digest  ").replace(", ", ","),
            phone.answer().replace("algorithm=SHA-256", "algorithm=sha-256"),
            phone.answer().replace("qop=auth", 'qop="auth"').replace(", ", " ,\t"),
            phone.answer().replace('realm="callvault"', 'Realm="callvault"'),
            phone.answer() + ', opaque="", x="quoted \\" and, comma"',
        ]

        assert ["pbx"] * 5 == [
            challenger.check(invite(one), secret_of, 101.0) for one in texts
        ]

    def test_stand_beside_answers_for_others(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        headers = Headers(
            [
                ("Authorization", phone.answer(realm="proxy.example")),
                ("Authorization", "Bearer abc"),
                ("Authorization", phone.answer()),
            ]
        )
        request = Request(method="INVITE", uri=URI, headers=headers, body=b"")

        assert "pbx" == challenger.check(request, secret_of, 101.0)

    def test_name_people_beyond_ascii(self, challenger: Challenger) -> None:
        name = "büro"
        ha1 = digest_secrets(name, TOKEN).sha256.encode()
        raw = name.encode().decode("utf-8", "surrogateescape")
        request = invite(Phone(challenger).answer(username=raw))

        def secret(username: str, algorithm: str) -> bytes | None:
            return ha1 if username == name else None

        assert name == challenger.check(request, secret, 101.0)


class TestB7:
    """Every way to be wrong that security.md's row B7 lists, and some more."""

    def test_nothing_is_no_answer(self, challenger: Challenger) -> None:
        error = refused(challenger, invite())

        assert (Flaw.ABSENT, False) == (error.flaw, error.stale)

    @pytest.mark.parametrize(
        "header",
        [
            "",
            "Digest",
            "Digest ",
            "Basic cGJ4OmN2ZA==",
            'Digest username="pbx"',
            "Digest realm=callvault",
            'Digest realm="callvault',
            "Digest " + "x=y, " * 30 + "realm=callvault",
            "Digest realm=callvault, " + "a" * 5000,
            "\x00\xff",
        ],
    )
    def test_nonsense_is_refused(self, challenger: Challenger, header: str) -> None:
        assert not refused(challenger, invite(header)).stale

    @pytest.mark.parametrize(
        ("changed", "flaw"),
        [
            ({"password": TOKEN[:-1]}, Flaw.WRONG),
            ({"password": ""}, Flaw.WRONG),
            ({"username": "PBX"}, Flaw.WRONG),
            ({"username": "Pbx"}, Flaw.WRONG),
            ({"username": "nobody"}, Flaw.WRONG),
            ({"username": ""}, Flaw.MALFORMED),
            ({"method": "BYE"}, Flaw.WRONG),
            ({"response": "0" * 64}, Flaw.WRONG),
            ({"response": "0" * 32}, Flaw.WRONG),
            ({"response": ""}, Flaw.MALFORMED),
            ({"response": "g" * 64}, Flaw.MALFORMED),
            ({"realm": "Callvault"}, Flaw.ABSENT),
            ({"realm": "other"}, Flaw.ABSENT),
            ({"uri": "sip:other@192.0.2.1"}, Flaw.OTHER_URI),
            ({"uri": "sip:srs@192.0.2.2"}, Flaw.OTHER_URI),
            ({"uri": "sip:srs@192.0.2.1:5061"}, Flaw.OTHER_URI),
            ({"uri": "sips:srs@192.0.2.1"}, Flaw.OTHER_URI),
            ({"uri": "sip:192.0.2.1"}, Flaw.OTHER_URI),
            ({"uri": ""}, Flaw.MALFORMED),
            ({"qop": "auth-conf"}, Flaw.MALFORMED),
            ({"qop": "AUTH"}, Flaw.MALFORMED),
            ({"nc": "1"}, Flaw.MALFORMED),
            ({"nc": "-0000001"}, Flaw.MALFORMED),
            ({"nc": "00000000"}, Flaw.REPLAYED),
            ({"cnonce": ""}, Flaw.MALFORMED),
            ({"nonce": "0000"}, Flaw.STALE),
            ({"nonce": "!" * 43}, Flaw.STALE),
            ({"nonce": "\udcff" * 40}, Flaw.STALE),
        ],
        ids=str,
    )
    def test_one_part_that_is_wrong_is_enough(
        self, challenger: Challenger, phone: Phone, changed: dict[str, str], flaw: Flaw
    ) -> None:
        assert flaw is refused(challenger, invite(phone.answer(**changed))).flaw

    @pytest.mark.parametrize(
        "name", ["qop", "nc", "cnonce", "uri", "response", "nonce"]
    )
    def test_one_part_that_is_missing_is_enough(
        self, challenger: Challenger, phone: Phone, name: str
    ) -> None:
        text = re.sub(rf"(?<= ){name}=[^ ]+ ?", "", phone.answer() + ",").rstrip(", ")

        assert Flaw.MALFORMED is refused(challenger, invite(text)).flaw

    def test_the_method_is_part_of_the_answer(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        request = invite(phone.answer(), method="BYE")

        assert Flaw.WRONG is refused(challenger, request).flaw

    def test_the_body_is_part_of_an_auth_int_answer(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        """An attacker on the way may change an SDP under ``auth``; not here."""
        request = invite(phone.answer(qop="auth-int"), body=b"v=1\r\n")

        assert Flaw.WRONG is refused(challenger, request).flaw

    def test_the_same_answer_counts_once(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        request = invite(phone.answer())
        challenger.check(request, secret_of, 101.0)
        error = refused(challenger, request)

        assert (Flaw.REPLAYED, True, "pbx") == (error.flaw, error.stale, error.username)

    def test_a_count_never_goes_back(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        challenger.check(invite(phone.answer(nc="00000005")), secret_of, 101.0)

        for nc in ("00000005", "00000004", "00000001"):
            error = refused(challenger, invite(phone.answer(nc=nc)))
            assert Flaw.REPLAYED is error.flaw

    def test_a_wrong_answer_uses_up_no_count(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        """Else a stranger who saw the nonce could keep its owner out."""
        spoiled = phone.answer(nc="00000009", password="x")
        refused(challenger, invite(spoiled))

        assert "pbx" == challenger.check(
            invite(phone.answer(nc="00000001")), secret_of, 101.0
        )

    @pytest.mark.parametrize(
        ("later_s", "stale"), [(299.9, False), (300.1, True), (-0.1, True)]
    )
    def test_a_nonce_lives_five_minutes(
        self, challenger: Challenger, phone: Phone, later_s: float, stale: bool
    ) -> None:
        request = invite(phone.answer())
        now_s = 100.0 + later_s

        if stale:
            error = refused(challenger, request, now_s)
            assert (Flaw.STALE, True) == (error.flaw, error.stale)
        else:
            assert "pbx" == challenger.check(request, secret_of, now_s)

    def test_a_nonce_of_another_process_is_stale_for_who_knows_the_secret(
        self, phone: Phone
    ) -> None:
        other = Challenger(SecretBytes(b"x" * 32))

        assert refused(other, invite(phone.answer())).stale
        assert not refused(other, invite(phone.answer(password="x"))).stale

    def test_a_nonce_that_was_changed_is_not_ours(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        for place in range(len(phone.nonce) - 1):
            other = "A" if phone.nonce[place] != "A" else "B"
            nonce = phone.nonce[:place] + other + phone.nonce[place + 1 :]
            error = refused(challenger, invite(phone.answer(nonce=nonce)))
            assert Flaw.STALE is error.flaw

    def test_md5_is_wrong_for_who_may_not(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        """No answer falls back to what was not offered."""
        request = invite(phone.answer(algorithm=MD5))
        bare = invite(phone.answer(algorithm=MD5).replace("algorithm=MD5, ", ""))

        assert Flaw.WRONG is refused(challenger, request, secrets=no_md5).flaw
        assert Flaw.WRONG is refused(challenger, bare, secrets=no_md5).flaw

    @pytest.mark.parametrize(
        "algorithm", ["SHA-256-sess", "MD5-sess", "SHA-512-256", "SHA-1", "none", ""]
    )
    def test_algorithms_that_nobody_offered_are_refused(
        self, challenger: Challenger, phone: Phone, algorithm: str
    ) -> None:
        text = phone.answer().replace("algorithm=SHA-256", f'algorithm="{algorithm}"')

        assert Flaw.MALFORMED is refused(challenger, invite(text)).flaw

    def test_an_md5_answer_passes_for_no_sha_256_one(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        text = phone.answer(algorithm=MD5).replace("algorithm=MD5", "algorithm=SHA-256")

        assert Flaw.WRONG is refused(challenger, invite(text)).flaw

    def test_two_answers_are_none(self, challenger: Challenger, phone: Phone) -> None:
        headers = Headers([("Authorization", phone.answer()) for _ in range(2)])
        request = Request(method="INVITE", uri=URI, headers=headers)

        assert Flaw.MALFORMED is refused(challenger, request).flaw

    def test_a_hundred_answers_are_not_looked_at(self, challenger: Challenger) -> None:
        headers = Headers([("Authorization", "Digest realm=callvault")] * 100)
        request = Request(method="INVITE", uri=URI, headers=headers)

        assert Flaw.MALFORMED is refused(challenger, request).flaw

    def test_the_same_parameter_twice_is_no_answer(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        text = phone.answer() + ', USERNAME="root"'

        assert Flaw.ABSENT is refused(challenger, invite(text)).flaw

    def test_nothing_of_a_secret_is_in_an_error(
        self, challenger: Challenger, phone: Phone
    ) -> None:
        error = refused(challenger, invite(phone.answer(password="hunter2")))

        assert "the answer is wrong" == str(error)
        assert "" == error.username
        assert SECRETS.sha256 not in repr(SECRETS)


class TestMemory:
    def test_nonces_that_were_forgotten_are_not_taken_again(self) -> None:
        challenger = Challenger(KEY, most_nonces=3)
        phones = [Phone(challenger, 100.0 + place) for place in range(5)]
        answers = [invite(phone.answer()) for phone in phones]
        for request in answers:
            challenger.check(request, secret_of, 110.0)

        assert 3 == len(challenger._counts)
        assert [Flaw.STALE] * 2 + [Flaw.REPLAYED] * 3 == [
            refused(challenger, request, 110.0).flaw for request in answers
        ]

    def test_the_room_left_is_that_of_the_newest(self) -> None:
        challenger = Challenger(KEY, most_nonces=3)
        for place in range(50):
            fresh = Phone(challenger, 100.0 + place)
            challenger.check(invite(fresh.answer()), secret_of, 150.0)
            challenger.check(invite(fresh.answer()), secret_of, 150.0)

        assert 3 == len(challenger._counts)


# What a header can hold at all: never CR or LF (`vault.sip.header_fields`).
WORDS = st.text(st.characters(exclude_characters="\r\n"), max_size=100)
NAMES = ("username", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc")


@given(WORDS)
def test_no_text_does_more_than_be_refused(text: str) -> None:
    refused(Challenger(KEY), invite("Digest " + text))


@given(st.dictionaries(st.sampled_from(NAMES), WORDS))
def test_no_parameters_do_more_than_be_refused(parts: dict[str, str]) -> None:
    text = "".join(f', {name}="{value}"' for name, value in parts.items())
    header = f'Digest realm="callvault"{text}'

    assert not refused(Challenger(KEY), invite(header)).stale
