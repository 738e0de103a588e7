import socket

import pytest

from vault.core.errors import ConfigurationError
from vault.sip.addresses import (
    as_seen_by,
    in_uri,
    is_link_local,
    is_wildcard,
    resolved,
)


def test_link_local_addresses_are_known() -> None:
    assert [True, True, False, False] == [
        is_link_local(one) for one in ("fe80::1", "febf::1", "2001:db8::1", "10.0.0.1")
    ]


def test_a_uri_has_brackets_around_ipv6_alone() -> None:
    assert ["[::1]", "10.0.0.1", "sip.test"] == [
        in_uri(one) for one in ("::1", "10.0.0.1", "sip.test")
    ]


def test_a_socket_of_both_families_wants_ipv4_mapped() -> None:
    assert "::ffff:10.0.0.1" == as_seen_by(socket.AF_INET6, "10.0.0.1")
    assert "10.0.0.1" == as_seen_by(socket.AF_INET, "10.0.0.1")
    assert "::1" == as_seen_by(socket.AF_INET6, "::1")


def test_literals_have_a_family_and_a_scope() -> None:
    assert (socket.AF_INET, ("127.0.0.1", 5060)) == resolved("127.0.0.1", 5060)
    assert (socket.AF_INET6, ("::1", 5060, 0, 0)) == resolved("::1", 5060)
    family, name = resolved("fe80::1%lo", 5060)
    assert (socket.AF_INET6, 1) == (family, name[3])


@pytest.mark.parametrize("host", ["localhost", "", "10.0.0.256", "fe80::1%absent"])
def test_what_is_no_literal_is_refused(host: str) -> None:
    with pytest.raises(ConfigurationError):
        resolved(host or "-", 5060)


def test_wildcards_are_known() -> None:
    assert [True, True, False] == [is_wildcard(h) for h in ("0.0.0.0", "::", "::1")]
