from dataclasses import replace

import pytest

from vault.access.device_rules import (
    MAX_LISTED,
    DeviceChange,
    DeviceListed,
    changed,
    narrowed,
)
from vault.core.errors import InvalidInputError
from vault.core.flow import Allowance, Device
from vault.core.ids import DeviceId

ONE, OTHER = "ab" * 32, "cd" * 32
BARE = DeviceListed(
    device=Device(id=DeviceId("d"), name="sbc"), token_sha256=bytes(32), revoked=False
)


def test_what_is_not_named_stays_and_what_is_named_is_spelled_in_one_way() -> None:
    change = DeviceChange(
        addresses=("192.0.2.9", "192.0.2.9/32", "10.0.0.0/8"),
        certificates=(f"sha256:{ONE.upper()}",),
        max_calls=3,
    )
    once = changed(BARE, change)
    twice = changed(once, DeviceChange(max_calls=0, media_advertise="192.0.2.1"))

    assert ("10.0.0.0/8", "192.0.2.9/32") == twice.device.addresses
    assert (ONE,) == twice.certificates
    assert (0, "192.0.2.1") == (twice.device.max_calls, twice.device.media_advertise)
    assert once.device == changed(twice, replace(change, media_advertise="")).device
    assert BARE == changed(BARE, DeviceChange())


@pytest.mark.parametrize(
    "change",
    [
        DeviceChange(addresses=("sbc.example.com",)),
        DeviceChange(media_addresses=("192.0.2.1/24",)),
        DeviceChange(certificates=("sha256:00",)),
        DeviceChange(max_calls=-1),
        DeviceChange(max_calls=1_000_001),
        DeviceChange(media_advertise="sbc"),
        DeviceChange(addresses=tuple(f"10.0.0.{n}" for n in range(MAX_LISTED + 1))),
    ],
    ids=str,
)
def test_what_cannot_be_held_to_is_refused(change: DeviceChange) -> None:
    with pytest.raises(InvalidInputError):
        changed(BARE, change)


class TestNarrowed:
    """Between a change and its leaf on the trail nothing new is given."""

    @staticmethod
    def both(before: DeviceChange, after: DeviceChange) -> DeviceListed:
        start = changed(BARE, before)
        return narrowed(start, changed(start, after))

    def test_allowances_are_those_of_both(self) -> None:
        plain, short = Allowance.PLAIN_RTP, Allowance.SHORT_TAG
        between = self.both(
            DeviceChange(allowances=frozenset({plain, short})),
            DeviceChange(allowances=frozenset({short, Allowance.MD5_DIGEST})),
        )

        assert frozenset({short}) == between.device.allowances

    @pytest.mark.parametrize(
        ("before", "after", "between"),
        [
            ((), ("10.0.0.0/8",), ("10.0.0.0/8",)),
            (("10.0.0.0/8",), (), ("10.0.0.0/8",)),
            (("10.0.0.0/8", "::1/128"), ("10.0.0.0/8",), ("10.0.0.0/8",)),
            (("10.0.0.0/8",), ("192.0.2.0/24",), ("10.0.0.0/8",)),
        ],
    )
    def test_no_list_becomes_one_that_lets_everybody_in(
        self, before: tuple[str, ...], after: tuple[str, ...], between: tuple[str, ...]
    ) -> None:
        found = self.both(
            DeviceChange(addresses=before, media_addresses=before),
            DeviceChange(addresses=after, media_addresses=after),
        )

        assert (between, between) == (
            found.device.addresses,
            found.device.media_addresses,
        )

    @pytest.mark.parametrize(
        ("before", "after", "between"),
        [
            ((), (ONE,), ()),
            ((ONE,), (), (ONE,)),
            ((ONE,), (ONE, OTHER), (ONE,)),
            ((ONE, OTHER), (OTHER,), (OTHER,)),
            ((ONE,), (OTHER,), (ONE,)),
        ],
    )
    def test_no_certificate_is_new_and_none_at_all_is_not_between(
        self, before: tuple[str, ...], after: tuple[str, ...], between: tuple[str, ...]
    ) -> None:
        found = self.both(
            DeviceChange(certificates=before), DeviceChange(certificates=after)
        )

        assert between == found.certificates

    @pytest.mark.parametrize(
        ("before", "after", "between"), [(0, 5, 5), (5, 0, 5), (5, 3, 3), (0, 0, 0)]
    )
    def test_the_smaller_number_of_calls_counts(
        self, before: int, after: int, between: int
    ) -> None:
        found = self.both(DeviceChange(max_calls=before), DeviceChange(max_calls=after))

        assert between == found.device.max_calls
