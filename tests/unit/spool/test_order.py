from dataclasses import replace

import pytest

from vault.core.errors import InvalidInputError
from vault.core.ids import UserId
from vault.spool.order import SpoolOrder


def test_writing_and_reading_are_inverses(order: SpoolOrder) -> None:
    with_agent = replace(order, agent_id=UserId("u"))

    assert [order, with_agent] == [
        SpoolOrder.parse(bytes(one)) for one in (order, with_agent)
    ]


@pytest.mark.parametrize(
    "octets",
    [b"", b"{}", b"[]", b'{"v":1}', b'{"v":2}', b"\xff"],
)
def test_what_is_no_order_is_refused(octets: bytes) -> None:
    with pytest.raises(InvalidInputError):
        SpoolOrder.parse(octets)


def test_a_member_more_is_refused(order: SpoolOrder) -> None:
    octets = bytes(order).replace(b'{"agent_id"', b'{"a":"b","agent_id"')

    with pytest.raises(InvalidInputError):
        SpoolOrder.parse(octets)
