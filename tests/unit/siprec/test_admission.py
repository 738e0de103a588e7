"""Who may speak.  Peers are real requests; devices are the tap's own directory."""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from itertools import count

import httpx
import pytest
import structlog

from vault.access.credentials import digest_secrets
from vault.access.devices import DeviceListed
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId
from vault.core.prefixes import AddressLists, Prefixes
from vault.core.secrets import SecretBytes
from vault.recorder.sip_devices import SipDirectory
from vault.sip.interfaces import Incoming
from vault.sip.messages import Headers, Request, Response, parse_message
from vault.sip.peers import Peer, Transport
from vault.siprec.admission import REFUSED, Admission, AdmissionConfig
from vault.siprec.refusals import Cause, Refused

PIN = bytes.fromhex("ab" * 32)
HERE, THERE = "127.0.0.1", "192.0.2.7"
CLEAR = Allowance.CLEAR_SIGNALLING


def listed(
    name: str,
    *allowances: Allowance,
    addresses: tuple[str, ...] = (),
    certificates: tuple[str, ...] = (),
) -> DeviceListed:
    return DeviceListed(
        device=Device(
            id=DeviceId(f"id-{name}"),
            name=name,
            allowances=frozenset(allowances),
            addresses=addresses,
        ),
        token_sha256=bytes(32),
        revoked=False,
        certificates=certificates,
        digest=digest_secrets(name, f"token-{name}"),
    )


@dataclass
class Door:
    """An admission whose clock and devices are a test's."""

    devices: list[DeviceListed]
    config: AdmissionConfig = field(default_factory=AdmissionConfig)
    now_s: float = 1000.0
    rules: AddressLists = field(default_factory=AddressLists)
    heard: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.admission = Admission(
            self,  # type: ignore[arg-type] # every method by __getattr__
            self.config,
            nonce_key=SecretBytes(bytes(32)),
            clock=lambda: self.now_s,
        )

    def __getattr__(self, name: str) -> object:
        return getattr(SipDirectory(tuple(self.devices)), name)

    def note_use(self, device: Device) -> None:
        self.heard.append(device.name)

    def address_lists(self, listener: str) -> AddressLists:
        assert listener == "sip"
        return self.rules

    def device(self, name: str) -> Device:
        return next(one.device for one in self.devices if one.device.name == name)

    def admit(self, incoming: Incoming, owner: str = "") -> str | None:
        found = self.admission.admit(
            incoming, owner=self.device(owner) if owner else None
        )
        return found and found.name

    def refuse(self, incoming: Incoming, owner: str = "") -> tuple[Response, Cause]:
        with pytest.raises(Refused) as caught:
            self.admit(incoming, owner)
        return caught.value.response, caught.value.cause


_CALLS = count(1)


def request(
    method: str = "INVITE", *, authorization: str = "", number: int = 0, body: str = ""
) -> Request:
    number = number or next(_CALLS)
    text = (
        f"{method} sip:srs@{HERE} SIP/2.0\r\n"
        f"Via: SIP/2.0/TCP {THERE};branch=z9hG4bK{number}\r\n"
        f"From: <sip:src@{THERE}>;tag=f{number}\r\nTo: <sip:srs@{HERE}>\r\n"
        f"Call-ID: call-{number}\r\nCSeq: 1 {method}\r\nMax-Forwards: 70\r\n"
        f"Content-Length: {len(body)}\r\n\r\n{body}"
    )
    parsed = parse_message(text.encode())
    assert isinstance(parsed, Request)
    if not authorization:
        return parsed
    headers = parsed.headers.with_("Authorization", authorization)
    return replace(parsed, headers=headers)


def peer(
    address: str = HERE,
    transport: Transport = Transport.TCP,
    *,
    connection: int = 0,
    certificate: bytes | None = None,
) -> Peer:
    return Peer(
        transport=transport,
        address=address,
        port=5060,
        connection=connection,
        certificate_sha256=certificate,
    )


def asks(method: str = "INVITE", at: Peer | None = None, **changed: str) -> Incoming:
    return Incoming(request=request(method, **changed), peer=at or peer())  # type: ignore[arg-type]


class Client:
    """Somebody else's digest (httpx), with the URI that SIP would have."""

    def __init__(self, name: str, token: str = "") -> None:
        self.name = name
        self.auth = httpx.DigestAuth(name, token or f"token-{name}")

    def answers(
        self, refusal: Response, method: str = "INVITE", at: Peer | None = None
    ) -> Incoming:
        (challenge, *_) = refusal.headers.all("WWW-Authenticate")
        asked = httpx.Request(method, "http://srs/x")
        flow = self.auth.auth_flow(asked)
        next(flow)
        headers = {"WWW-Authenticate": challenge}
        answered = flow.send(httpx.Response(401, headers=headers, request=asked))
        return self.says(answered.headers["Authorization"], method, at)

    def says(
        self, authorization: str, method: str = "INVITE", at: Peer | None = None
    ) -> Incoming:
        asked = request(method, authorization=authorization)
        # httpx speaks of paths: the request names what its answer is for.
        return Incoming(request=replace(asked, uri="/x"), peer=at or peer())

    def enters(self, door: Door, method: str = "INVITE", at: Peer | None = None) -> str:
        refusal, _ = door.refuse(asks(method, at))
        found = door.admit(self.answers(refusal, method, at))
        assert found is not None
        return found


@pytest.fixture
def door() -> Door:
    return Door([listed("pbx"), listed("sbc", certificates=(PIN.hex(),))])


class TestStep1Addresses:
    @pytest.mark.parametrize(
        ("allow", "deny", "refused"),
        [
            ((), (), False),
            (("127.0.0.0/8",), (), False),
            (("10.0.0.0/8",), (), True),
            ((), ("127.0.0.1/32",), True),
            (("127.0.0.0/8",), ("127.0.0.1/32",), True),
            (("127.0.0.0/8",), ("127.0.0.2/32",), False),
        ],
    )
    def test_deny_counts_more_than_allow(
        self, allow: tuple[str, ...], deny: tuple[str, ...], refused: bool
    ) -> None:
        door = Door([listed("pbx")], AdmissionConfig(allow=allow, deny=deny))
        response, cause = door.refuse(asks())

        assert ((403, Cause.ADDRESS) if refused else (401, Cause.CHALLENGED)) == (
            response.status,
            cause,
        )

    def test_a_rule_of_an_administrator_counts_at_once(self) -> None:
        door = Door([listed("pbx")])
        before = door.refuse(asks())[1]
        door.rules = AddressLists(deny=Prefixes.parse(["127.0.0.0/8"]))

        assert (Cause.CHALLENGED, Cause.ADDRESS) == (before, door.refuse(asks())[1])

    def test_no_rule_widens_what_the_settings_allow(self) -> None:
        door = Door([listed("pbx")], AdmissionConfig(allow=("10.0.0.0/8",)))
        door.rules = AddressLists(allow=Prefixes.parse(["127.0.0.0/8"]))

        assert Cause.ADDRESS is door.refuse(asks())[1]

    def test_a_certificate_helps_nobody_who_is_denied(self) -> None:
        door = Door(
            [listed("sbc", certificates=(PIN.hex(),))],
            AdmissionConfig(deny=("192.0.2.0/24",)),
        )
        known = peer(THERE, Transport.TLS, connection=1, certificate=PIN)

        assert Cause.ADDRESS is door.refuse(asks(at=known))[1]
        assert Cause.ADDRESS is door.refuse(asks("CANCEL", known))[1]

    def test_a_prefix_that_is_none_stops_the_start(self) -> None:
        with pytest.raises(InvalidInputError):
            Door([], AdmissionConfig(allow=("everywhere",)))

    def test_who_is_denied_is_told_nothing_else(self) -> None:
        door = Door([], AdmissionConfig(deny=("127.0.0.0/8",)))
        response, _ = door.refuse(asks())

        assert (
            "Warning" in response.headers,
            "WWW-Authenticate" in response.headers,
        ) == (
            False,
            False,
        )


class TestStep2Certificates:
    def test_a_pinned_one_is_enough(self, door: Door) -> None:
        known = peer(THERE, Transport.TLS, connection=1, certificate=PIN)

        assert "sbc" == door.admit(asks(at=known))

    def test_a_device_counts_as_heard_once_it_is_known(self, door: Door) -> None:
        stranger = peer(THERE, Transport.TLS, connection=1, certificate=bytes(32))
        door.refuse(asks(at=stranger))
        assert [] == door.heard
        Client("pbx").enters(door)

        assert ["pbx"] == door.heard

    def test_another_one_proves_nothing(self, door: Door) -> None:
        stranger = peer(THERE, Transport.TLS, connection=1, certificate=bytes(32))

        assert Cause.CHALLENGED is door.refuse(asks(at=stranger))[1]

    def test_a_device_with_one_needs_it_whatever_else_it_knows(
        self, door: Door
    ) -> None:
        """A token that was stolen opens nothing without the certificate's key."""
        at = peer(THERE, Transport.TLS, connection=1, certificate=bytes(32))
        challenge, _ = door.refuse(asks(at=at))
        response, cause = door.refuse(Client("sbc").answers(challenge, at=at))

        assert (403, Cause.CERTIFICATE) == (response.status, cause)
        assert "device set sbc --no-certificate" in response.headers.one("Warning")


class TestStep3ByAddress:
    def test_an_address_is_enough_where_somebody_said_so(self) -> None:
        by_address = (Allowance.SIP_BY_ADDRESS, CLEAR)
        door = Door([listed("old", *by_address, addresses=("192.0.2.0/24",))])

        assert "old" == door.admit(asks(at=peer(THERE, Transport.UDP)))
        assert Cause.CHALLENGED is door.refuse(asks())[1]

    def test_a_claim_in_a_header_is_no_address(self) -> None:
        """``Via`` and ``From`` say what they like; the kernel says who it is."""
        by_address = (Allowance.SIP_BY_ADDRESS, CLEAR)
        door = Door([listed("old", *by_address, addresses=("192.0.2.0/24",))])
        elsewhere = asks(at=peer("203.0.113.9", Transport.UDP))

        assert THERE in elsewhere.request.headers.one("Via")
        assert Cause.CHALLENGED is door.refuse(elsewhere)[1]


class TestStep4Digest:
    def test_a_right_answer_names_the_device(self, door: Door) -> None:
        assert "pbx" == Client("pbx").enters(door)

    def test_the_challenge_is_for_sha_256_and_has_a_to_tag(self, door: Door) -> None:
        response, cause = door.refuse(asks())

        assert (401, Cause.CHALLENGED) == (response.status, cause)
        assert ["SHA-256"] == [
            one.split("algorithm=")[1].split(",")[0]
            for one in response.headers.all("WWW-Authenticate")
        ]
        assert ";tag=" in response.headers.one("To")

    def test_the_same_request_gets_the_same_to_tag_and_another_another(
        self, door: Door
    ) -> None:
        """Nothing is kept of what is refused, and its ACK has to match all the same."""
        tags = [
            door.refuse(asks(number=number))[0].headers.one("To")  # type: ignore[arg-type]
            for number in (901, 901, 902)
        ]

        assert tags[0] == tags[1]
        assert tags[0] != tags[2]

    def test_md5_is_for_devices_that_may(self) -> None:
        door = Door([listed("pbx"), listed("old", Allowance.MD5_DIGEST)])
        response, _ = door.refuse(asks())
        _, md5 = response.headers.all("WWW-Authenticate")
        only = Response(status=401, headers=Headers([("WWW-Authenticate", md5)]))

        assert "algorithm=MD5" in md5
        assert "old" == door.admit(Client("old").answers(only))
        assert Cause.ANSWER_WRONG is door.refuse(Client("pbx").answers(only))[1]

    def test_a_wrong_answer_is_challenged_again_and_not_as_stale(
        self, door: Door
    ) -> None:
        challenge, _ = door.refuse(asks())
        response, cause = door.refuse(Client("pbx", "guess").answers(challenge))

        assert (401, Cause.ANSWER_WRONG) == (response.status, cause)
        assert "stale" not in response.headers.one("WWW-Authenticate")

    def test_a_replay_is_told_stale_and_logged_with_its_device(
        self, door: Door
    ) -> None:
        challenge, _ = door.refuse(asks())
        answer = Client("pbx").answers(challenge)
        door.admit(answer)
        with structlog.testing.capture_logs() as lines:
            response, cause = door.refuse(answer)

        assert (401, Cause.REPLAYED) == (response.status, cause)
        assert "stale=true" in response.headers.one("WWW-Authenticate")
        assert [("replayed", "id-pbx")] == [
            (one["cause"], one["device"]) for one in lines if one["event"] == REFUSED
        ]

    def test_a_client_that_kept_an_old_nonce_gets_in_by_itself(
        self, door: Door
    ) -> None:
        client = Client("pbx")
        challenge, _ = door.refuse(asks())
        door.admit(client.answers(challenge))
        door.now_s += 301
        stale, cause = door.refuse(client.answers(challenge))

        assert Cause.STALE is cause
        assert "pbx" == door.admit(client.answers(stale))

    def test_a_device_that_was_revoked_is_nobody(self, door: Door) -> None:
        challenge, _ = door.refuse(asks())
        door.devices[0] = replace(door.devices[0], revoked=True)

        assert Cause.ANSWER_WRONG is door.refuse(Client("pbx").answers(challenge))[1]


class TestGuessing:
    @staticmethod
    def guess(door: Door, name: str = "pbx", at: Peer | None = None) -> Cause:
        challenge, _ = door.refuse(asks(at=at))
        return door.refuse(Client(name, "guess").answers(challenge, at=at))[1]

    def test_ten_wrong_answers_from_one_place_are_looked_at(self, door: Door) -> None:
        causes = [self.guess(door) for _ in range(12)]

        assert [Cause.ANSWER_WRONG] * 10 + [Cause.GUESSING] * 2 == causes

    def test_then_not_even_a_right_one_is_for_a_minute(self, door: Door) -> None:
        for _ in range(10):
            self.guess(door)
        challenge, _ = door.refuse(asks())
        refused = door.refuse(Client("pbx").answers(challenge))
        door.now_s += 61

        assert (403, Cause.GUESSING) == (refused[0].status, refused[1])
        assert "pbx" == Client("pbx").enters(door)

    def test_the_device_itself_is_not_locked_out(self, door: Door) -> None:
        """Who knows a device's name must not be able to stop its recordings."""
        for _ in range(50):
            self.guess(door, at=peer("203.0.113.9", Transport.TLS, connection=7))

        assert "pbx" == Client("pbx").enters(door)

    def test_nor_are_other_devices_behind_the_same_proxy(self, door: Door) -> None:
        door.devices.append(listed("other"))
        for _ in range(12):
            self.guess(door, "other")

        assert "pbx" == Client("pbx").enters(door)

    def test_forged_datagrams_lock_no_connection_out(self, door: Door) -> None:
        for number in range(100):
            self.guess(door, at=peer(transport=Transport.UDP))
            self.guess(door, f"name-{number}", at=peer(transport=Transport.UDP))

        assert Cause.GUESSING is self.guess(door, at=peer(transport=Transport.UDP))
        assert "pbx" == Client("pbx").enters(door)

    def test_a_thousand_names_from_one_place_are_guesses_too(self, door: Door) -> None:
        causes = [self.guess(door, f"name-{number}") for number in range(100)]

        assert Cause.GUESSING is causes[-1]
        assert 91 == causes.count(Cause.ANSWER_WRONG)

    def test_a_v6_customer_is_one_place(self, door: Door) -> None:
        causes = [
            self.guess(
                door, at=peer(f"2001:db8::{number}", Transport.TLS, connection=1)
            )
            for number in range(1, 13)
        ]

        assert Cause.GUESSING is causes[-1]

    def test_stale_and_replayed_answers_are_no_guesses(self, door: Door) -> None:
        challenge, _ = door.refuse(asks())
        client = Client("pbx")
        first = client.answers(challenge)
        door.admit(first)
        causes = [door.refuse(first)[1] for _ in range(50)]

        assert {Cause.REPLAYED} == set(causes)
        assert "pbx" == client.enters(door)


class TestStep5DeviceAddresses:
    def test_a_device_speaks_from_its_list_alone(self) -> None:
        door = Door([listed("pbx", addresses=("192.0.2.0/24",))])
        challenge, _ = door.refuse(asks())
        response, cause = door.refuse(Client("pbx").answers(challenge))

        assert (403, Cause.DEVICE_ADDRESS) == (response.status, cause)
        assert "device set pbx --address" in response.headers.one("Warning")

    def test_its_certificate_does_not_help(self) -> None:
        door = Door(
            [listed("sbc", addresses=("192.0.2.0/24",), certificates=(PIN.hex(),))]
        )
        stolen = peer("203.0.113.9", Transport.TLS, connection=1, certificate=PIN)
        own = peer(THERE, Transport.TLS, connection=2, certificate=PIN)

        assert Cause.DEVICE_ADDRESS is door.refuse(asks(at=stolen))[1]
        assert "sbc" == door.admit(asks(at=own))

    def test_without_a_list_it_speaks_from_anywhere(self, door: Door) -> None:
        at = peer("203.0.113.9", Transport.TLS, connection=1)

        assert "pbx" == Client("pbx").enters(door, at=at)


class TestStep6ClearSignalling:
    @pytest.mark.parametrize("transport", [Transport.UDP, Transport.TCP])
    def test_keys_do_not_travel_readable_unless_somebody_allowed_it(
        self, transport: Transport
    ) -> None:
        door = Door([listed("pbx"), listed("old", CLEAR)])
        at = peer(THERE, transport)
        challenge, _ = door.refuse(asks(at=at))
        response, cause = door.refuse(Client("pbx").answers(challenge, at=at))

        assert (403, Cause.CLEAR_SIGNALLING) == (response.status, cause)
        assert "--allow clear-signalling" in response.headers.one("Warning")
        assert "old" == Client("old").enters(door, at=at)

    @pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1"])
    def test_this_machine_reads_only_itself(self, door: Door, address: str) -> None:
        assert "pbx" == Client("pbx").enters(door, at=peer(address, Transport.UDP))


class TestStep7Dialogs:
    def test_another_device_s_dialog_does_not_exist(self, door: Door) -> None:
        known = peer(THERE, Transport.TLS, connection=1, certificate=PIN)
        response, cause = door.refuse(asks("BYE", known), owner="pbx")

        assert (481, Cause.OTHER_DEVICE) == (response.status, cause)
        assert "Warning" not in response.headers

    def test_a_stranger_s_bye_is_challenged(self, door: Door) -> None:
        stranger = peer(HERE, Transport.UDP)

        assert Cause.CHALLENGED is door.refuse(asks("BYE", stranger), owner="pbx")[1]

    def test_a_connection_that_answered_once_need_not_again_in_its_dialogs(
        self, door: Door
    ) -> None:
        at = peer(THERE, Transport.TLS, connection=5)
        Client("pbx").enters(door, at=at)

        assert "pbx" == door.admit(asks("BYE", at), owner="pbx")
        assert "pbx" == door.admit(asks("INVITE", at), owner="pbx")

    def test_but_for_every_new_call(self, door: Door) -> None:
        at = peer(THERE, Transport.TLS, connection=5)
        Client("pbx").enters(door, at=at)

        assert Cause.CHALLENGED is door.refuse(asks(at=at))[1]

    @pytest.mark.parametrize("connection", [0, 6])
    def test_another_connection_is_another_peer(
        self, door: Door, connection: int
    ) -> None:
        at = peer(THERE, Transport.TLS, connection=5)
        other = peer(THERE, Transport.TLS, connection=connection)
        Client("pbx").enters(door, at=at)

        assert Cause.CHALLENGED is door.refuse(asks("BYE", other), owner="pbx")[1]

    def test_over_udp_each_request_answers(self, door: Door) -> None:
        at = peer(HERE, Transport.UDP)
        Client("pbx").enters(door, at=at)

        assert Cause.CHALLENGED is door.refuse(asks("BYE", at), owner="pbx")[1]

    def test_a_connection_is_one_device_s(self, door: Door) -> None:
        """A proxy brings several: each speaks for its own dialogs alone."""
        door.devices.append(listed("other"))
        at = peer(THERE, Transport.TLS, connection=5)
        Client("pbx").enters(door, at=at)

        assert Cause.CHALLENGED is door.refuse(asks("BYE", at), owner="other")[1]

    def test_a_revoked_device_loses_its_connection(self, door: Door) -> None:
        at = peer(THERE, Transport.TLS, connection=5)
        Client("pbx").enters(door, at=at)
        owner = door.device("pbx")
        door.devices[0] = replace(door.devices[0], revoked=True)
        with pytest.raises(Refused) as caught:
            door.admission.admit(asks("BYE", at), owner=owner)

        assert Cause.CHALLENGED is caught.value.cause


class TestStep8Rates:
    @pytest.fixture
    def fast(self) -> Door:
        config = AdmissionConfig(device_rate=10, device_burst=20)
        pinned = [listed(n, certificates=(n.encode().hex() * 32,)) for n in ("a", "b")]
        return Door(pinned, config)

    @staticmethod
    def at(name: str) -> Peer:
        sha256 = name.encode() * 32
        return peer(THERE, Transport.TLS, connection=1, certificate=sha256)

    def asked(self, door: Door) -> Response | None:
        try:
            door.admit(asks(at=self.at("a")))
        except Refused as refused:
            return refused.response
        return None

    def test_a_flood_is_cut_off_and_the_others_are_not(self, fast: Door) -> None:
        refusals: list[Response | None] = []
        for _ in range(2000):
            fast.now_s += 1 / 2000
            refusals.append(self.asked(fast))
        admitted = [place for place, one in enumerate(refusals) if one is None]
        last = refusals[-1]

        assert last is not None
        assert (503, "5") == (last.status, last.headers.one("Retry-After"))
        assert 30 >= len(admitted)
        assert 100 >= admitted[-1]
        assert "b" == fast.admit(asks(at=self.at("b")))
        assert 1970 <= fast.admission.counts[Cause.DEVICE_RATE]

    def test_large_bodies_count_as_several_requests(self, fast: Door) -> None:
        large = asks(at=self.at("a"), body="x" * 200_000)
        admitted = 0
        while admitted < 100:
            try:
                fast.admit(large)
            except Refused:
                break
            admitted += 1

        assert 3 >= admitted

    def test_its_running_calls_still_end(self, fast: Door) -> None:
        while self.asked(fast) is None:
            pass

        assert Cause.DEVICE_RATE is fast.refuse(asks(at=self.at("a")))[1]
        assert "a" == fast.admit(asks("BYE", self.at("a")), owner="a")

    def test_it_is_back_seconds_after_it_calmed_down(self, fast: Door) -> None:
        while self.asked(fast) is None:
            pass
        fast.now_s += 3

        assert "a" == fast.admit(asks(at=self.at("a")))


class TestWithoutIdentity:
    def test_a_cancel_is_never_challenged(self, door: Door) -> None:
        """RFC 3261, section 22.1: its client cannot send it again."""
        assert door.admit(asks("CANCEL")) is None

    def test_options_is_answered_where_a_device_is_expected(self) -> None:
        door = Door([listed("pbx", addresses=("192.0.2.0/24",))])

        assert door.admit(asks("OPTIONS", peer(THERE, Transport.UDP))) is None
        assert Cause.CHALLENGED is door.refuse(asks("OPTIONS"))[1]
        assert Cause.CHALLENGED is door.refuse(asks(at=peer(THERE)))[1]

    @pytest.mark.parametrize(
        "method", ["REGISTER", "MESSAGE", "SUBSCRIBE", "INFO", "BYE", "X"]
    )
    def test_nothing_else_is(self, method: str) -> None:
        door = Door([listed("pbx", addresses=("127.0.0.0/8",))])

        assert Cause.CHALLENGED is door.refuse(asks(method))[1]


class TestTellingNothing:
    def test_a_name_that_does_not_exist_looks_like_a_wrong_token(
        self, door: Door
    ) -> None:
        answers = []
        for name in ("pbx", "nobody"):
            challenge, _ = door.refuse(asks())
            response, cause = door.refuse(Client(name, "guess").answers(challenge))
            fields = {field for field, _ in response.headers}
            answers.append((response.status, response.reason, cause, fields))

        assert answers[0] == answers[1]

    def test_a_thousand_addresses_write_no_thousand_lines(self, door: Door) -> None:
        with structlog.testing.capture_logs() as lines:
            for number in range(1000):
                at = peer(f"10.0.{number // 250}.{number % 250}", Transport.UDP)
                TestGuessing.guess(door, at=at)

        assert 60 == len([one for one in lines if one["event"] == REFUSED])

    def test_lines_of_the_log_are_few_and_name_nobody(self, door: Door) -> None:
        with structlog.testing.capture_logs() as lines:
            for _ in range(200):
                TestGuessing.guess(door, "jane.doe")

        assert 2 == len([one for one in lines if one["event"] == REFUSED])
        assert "jane" not in repr(lines)

    @pytest.mark.parametrize("spell", [repr, str])
    def test_no_secret_is_in_what_is_raised(
        self, door: Door, spell: Callable[[object], str]
    ) -> None:
        challenge, _ = door.refuse(asks())
        with pytest.raises(Refused) as caught:
            door.admit(Client("pbx", "hunter2").answers(challenge))

        said = spell(caught.value)
        assert "hunter2" not in said
        assert digest_secrets("pbx", "token-pbx").sha256 not in said


def test_a_decision_takes_microseconds_and_no_memory_of_strangers(door: Door) -> None:
    for number in range(500):
        door.refuse(asks(at=peer(f"203.0.113.{number % 250}", Transport.UDP)))

    assert 0 == len(door.admission._proven)
    assert 500 == door.admission.counts[Cause.CHALLENGED]
