import pytest

from vault.access.credentials import digest_secrets
from vault.access.devices import DeviceListed
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId
from vault.recorder.device_members import device_members, parse_device
from vault.recorder.sip_devices import SipDirectory

BY_ADDRESS = Allowance.SIP_BY_ADDRESS
WITH_MD5 = Allowance.MD5_DIGEST
PIN = "ab" * 32


def listed(
    name: str,
    *allowances: Allowance,
    addresses: tuple[str, ...] = (),
    certificates: tuple[str, ...] = (),
    revoked: bool = False,
    password: bool = True,
) -> DeviceListed:
    return DeviceListed(
        device=Device(
            id=DeviceId(f"id-{name}"),
            name=name,
            allowances=frozenset(allowances),
            addresses=addresses,
            media_addresses=("198.51.100.0/24",),
            max_calls=7,
        ),
        token_sha256=bytes(32),
        revoked=revoked,
        certificates=certificates,
        digest=digest_secrets(name, "token") if password else None,
    )


class TestCertificates:
    def test_a_pinned_one_names_its_device(self) -> None:
        one = listed("sbc", certificates=(PIN, "cd" * 32))
        directory = SipDirectory((one, listed("other")))

        assert one.device == directory.by_certificate(bytes.fromhex(PIN))
        assert one.device == directory.by_certificate(b"\xcd" * 32)
        assert directory.by_certificate(bytes(32)) is None

    def test_of_a_revoked_device_names_nobody(self) -> None:
        gone = listed("sbc", certificates=(PIN,), revoked=True)

        assert SipDirectory((gone,)).by_certificate(bytes.fromhex(PIN)) is None

    def test_of_two_devices_names_none(self) -> None:
        both = (listed("a", certificates=(PIN,)), listed("b", certificates=(PIN,)))

        assert SipDirectory(both).by_certificate(bytes.fromhex(PIN)) is None


class TestAddresses:
    @pytest.mark.parametrize(
        ("devices", "found"),
        [
            ([listed("a", BY_ADDRESS, addresses=("192.0.2.0/24",))], "a"),
            ([listed("a", addresses=("192.0.2.0/24",))], None),
            ([listed("a", BY_ADDRESS)], None),
            ([listed("a", BY_ADDRESS, addresses=("192.0.2.8/32",))], None),
            (
                [
                    listed("a", BY_ADDRESS, addresses=("192.0.2.0/24",)),
                    listed("b", BY_ADDRESS, addresses=("192.0.2.7/32",)),
                ],
                None,
            ),
            (
                [
                    listed("a", BY_ADDRESS, addresses=("192.0.2.0/24",)),
                    listed("b", addresses=("192.0.2.7/32",)),
                    listed("c", BY_ADDRESS, addresses=("192.0.2.7/32",), revoked=True),
                ],
                "a",
            ),
        ],
    )
    def test_one_is_enough_only_where_it_is_listed_and_allowed_once(
        self, devices: list[DeviceListed], found: str | None
    ) -> None:
        device = SipDirectory(tuple(devices)).by_address("192.0.2.7")

        assert found == (device and device.name)

    def test_expected_is_what_a_living_device_lists(self) -> None:
        directory = SipDirectory(
            (
                listed("a", addresses=("192.0.2.0/24",)),
                listed("b"),
                listed("c", addresses=("203.0.113.0/24",), revoked=True),
            )
        )

        assert [True, False, False] == [
            directory.expects(one) for one in ("192.0.2.7", "192.0.3.7", "203.0.113.1")
        ]

    def test_asking_from_everywhere_keeps_a_bounded_number_of_answers(self) -> None:
        directory = SipDirectory((listed("a", addresses=("10.0.0.0/8",)),))
        for number in range(10_000):
            assert directory.expects(f"10.0.{number // 256}.{number % 256}")

        assert 4096 >= len(directory._places)


class TestDigest:
    def test_each_algorithm_has_its_own_secret(self) -> None:
        one = listed("sbc", WITH_MD5)
        directory = SipDirectory((one,))
        secrets = digest_secrets("sbc", "token")
        sha256 = directory.digest_secret("sbc", "SHA-256")
        md5 = directory.digest_secret("sbc", "MD5")

        assert sha256 is not None
        assert md5 is not None
        assert (one.device, secrets.sha256) == (sha256.device, sha256.ha1.decode())
        assert secrets.md5 == md5.ha1.decode()
        assert secrets.sha256 not in repr(sha256)

    @pytest.mark.parametrize(
        ("device", "username", "algorithm"),
        [
            (listed("sbc"), "sbc", "MD5"),
            (listed("sbc", WITH_MD5), "sbc", "SHA-512"),
            (listed("sbc"), "SBC", "SHA-256"),
            (listed("sbc"), "other", "SHA-256"),
            (listed("sbc", revoked=True), "sbc", "SHA-256"),
            (listed("sbc", password=False), "sbc", "SHA-256"),
        ],
    )
    def test_nobody_else_has_one(
        self, device: DeviceListed, username: str, algorithm: str
    ) -> None:
        assert SipDirectory((device,)).digest_secret(username, algorithm) is None

    def test_it_says_where_a_certificate_is_wanted_as_well(self) -> None:
        directory = SipDirectory((listed("a", certificates=(PIN,)), listed("b")))
        found = [directory.digest_secret(name, "SHA-256") for name in "ab"]

        assert [True, False] == [one and one.certificate_required for one in found]

    @pytest.mark.parametrize(
        ("devices", "algorithms"),
        [
            ([], ("SHA-256",)),
            ([listed("a")], ("SHA-256",)),
            ([listed("a", WITH_MD5)], ("SHA-256", "MD5")),
            ([listed("a", WITH_MD5, addresses=("192.0.2.7/32",))], ("MD5",)),
            ([listed("a", WITH_MD5, addresses=("10.0.0.0/8",))], ("SHA-256",)),
            (
                [
                    listed("a", WITH_MD5, addresses=("192.0.2.7/32",)),
                    listed("b", addresses=("192.0.2.0/24",)),
                ],
                ("SHA-256", "MD5"),
            ),
            (
                [listed("a", WITH_MD5, addresses=("192.0.2.7/32",)), listed("b")],
                ("MD5",),
            ),
            ([listed("a", WITH_MD5, revoked=True)], ("SHA-256",)),
        ],
    )
    def test_md5_is_asked_for_only_where_somebody_may(
        self, devices: list[DeviceListed], algorithms: tuple[str, ...]
    ) -> None:
        directory = SipDirectory(tuple(devices))

        assert algorithms == directory.digest_algorithms("192.0.2.7")


class TestLimits:
    def test_are_those_of_now(self) -> None:
        old, new = listed("sbc"), listed("sbc", WITH_MD5)

        assert new.device == SipDirectory((new,)).limits_of(old.device)
        assert SipDirectory(()).limits_of(old.device) is None
        assert (
            SipDirectory((listed("sbc", revoked=True),)).limits_of(old.device) is None
        )


class TestKept:
    @pytest.mark.parametrize(
        "device",
        [
            listed("a", WITH_MD5, addresses=("10.0.0.0/8",), certificates=(PIN,)),
            listed("b", password=False, revoked=True),
        ],
    )
    def test_the_copy_on_disk_says_the_same(self, device: DeviceListed) -> None:
        read = parse_device(device_members(device))

        assert device == read
        assert device.digest == read.digest

    def test_a_copy_of_before_sip_lets_a_device_do_the_least(self) -> None:
        old = device_members(listed("a"))
        kept = ("id", "name", "media_advertise", "token_sha256", "revoked")
        read = parse_device({name: old[name] for name in kept})

        assert (frozenset(), (), None) == (
            read.device.allowances,
            read.certificates,
            read.digest,
        )
