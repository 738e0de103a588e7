from typing import Any

import pytest
from starlette.datastructures import Headers

from vault.core.errors import InvalidInputError
from vault.edge.config import EdgeConfig, ProxyHeader
from vault.edge.origin import Proxies, origin_of

OURS = ("127.0.0.0/8", "10.0.0.0/24", "2001:db8:1::/48")
XFF = "x-forwarded-for"


def settled(
    *headers: tuple[str, str],
    peer: str = "127.0.0.1",
    header: ProxyHeader = ProxyHeader.X_FORWARDED_FOR,
    trusted: tuple[str, ...] = OURS,
) -> str:
    scope: dict[str, Any] = {"client": (peer, 4711)}
    raw = [(name.encode(), value.encode("latin-1")) for name, value in headers]
    config = EdgeConfig(trusted_proxies=trusted, proxy_header=header)
    Proxies(config).settle(scope, Headers(raw=raw))
    return origin_of(scope)


class TestWithoutATrustedProxy:
    @pytest.mark.parametrize("trusted", [(), ("10.0.0.0/24",)])
    @pytest.mark.parametrize(
        "name", [XFF, "forwarded", "x-real-ip", "true-client-ip", "client-ip", "via"]
    )
    def test_h11_no_header_is_looked_at(
        self, name: str, trusted: tuple[str, ...]
    ) -> None:
        value = "for=203.0.113.9" if name == "forwarded" else "203.0.113.9"

        assert "192.0.2.7" == settled((name, value), peer="192.0.2.7", trusted=trusted)

    def test_h11_not_even_nonsense_is(self) -> None:
        assert "192.0.2.7" == settled((XFF, "\t,,%%"), peer="192.0.2.7")

    def test_an_ipv4_peer_of_an_ipv6_socket_is_spelled_as_ipv4(self) -> None:
        assert "192.0.2.7" == settled(peer="::ffff:192.0.2.7")


class TestBehindOne:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("203.0.113.9", "203.0.113.9"),
            ("203.0.113.9:51234", "203.0.113.9"),
            ("2001:db8::9", "2001:db8::9"),
            ("2001:DB8:0:0::9", "2001:db8::9"),
            ("[2001:db8::9]", "2001:db8::9"),
            ("[2001:db8::9]:443", "2001:db8::9"),
            ("::ffff:203.0.113.9", "203.0.113.9"),
            ("::ffff:cb00:7109", "203.0.113.9"),
            ("::1", "::1"),
            # Whatever the client has written stands left of whom the proxy saw.
            ("127.0.0.1, 203.0.113.9", "203.0.113.9"),
            ("nonsense, , 0x7f000001, 203.0.113.9", "203.0.113.9"),
            # Through more proxies of ours.
            ("203.0.113.9, 10.0.0.1", "203.0.113.9"),
            ("127.0.0.1, 203.0.113.9, 2001:db8:1::2, 10.0.0.1", "203.0.113.9"),
            # Only proxies: one of them asks by itself.
            ("10.0.0.7", "10.0.0.7"),
            ("10.0.0.7, 10.0.0.8", "10.0.0.7"),
        ],
    )
    def test_h11_the_first_from_the_right_that_is_none_of_ours_counts(
        self, value: str, expected: str
    ) -> None:
        assert expected == settled((XFF, value))

    def test_h11_several_lines_are_one_list(self) -> None:
        assert "203.0.113.9" == settled(
            (XFF, "127.0.0.1"), (XFF, "203.0.113.9, 10.0.0.1")
        )

    def test_h11_other_headers_are_still_not_looked_at(self) -> None:
        forged = [("forwarded", "for=127.0.0.1"), ("x-real-ip", "127.0.0.1")]

        assert "203.0.113.9" == settled((XFF, "203.0.113.9"), *forged)
        assert "127.0.0.2" == settled(*forged, peer="127.0.0.2")

    def test_a_proxy_that_names_nobody_asks_by_itself(self) -> None:
        assert "127.0.0.1" == settled()
        assert "127.0.0.1" == settled((XFF, "  "))

    @pytest.mark.parametrize(
        "value",
        [
            "unknown", "_hidden", "example.com", "203.0.113", "203.0.113.9.9",
            "0313.0.113.9", "0xcb007109", "3405803785", "203.0.113.09", "203.0.113.256",
            "203.0.113.9/32", "203.0.113.9:x", "203.0.113.9:123456", "fe80::1%eth0",
            "[::1", "::1]", "[203.0.113.9]", '"203.0.113.9"', "203.0.113.9, ",
            "203.0.113.9,,10.0.0.1", "203.0.113.9 10.0.0.1", "\u00b203.0.113.9", "-",
            ":::", "1" * 5000,
        ],
    )  # fmt: skip
    def test_h11_a_hop_that_is_no_address_refuses_the_request(self, value: str) -> None:
        with pytest.raises(InvalidInputError):
            settled((XFF, value))

    def test_h11_ten_proxies_are_followed_and_not_one_more(self) -> None:
        ours = ", ".join(f"10.0.0.{n}" for n in range(1, 10))

        assert "203.0.113.9" == settled((XFF, f"203.0.113.9, {ours}"))
        with pytest.raises(InvalidInputError):
            settled((XFF, f"203.0.113.9, 10.0.0.10, {ours}"))


class TestForwarded:
    @pytest.mark.parametrize(
        ("value", "expected"),
        [
            ("for=203.0.113.9", "203.0.113.9"),
            ("For=203.0.113.9;proto=https;by=10.0.0.1", "203.0.113.9"),
            ('proto=http;for="203.0.113.9:80"', "203.0.113.9"),
            ('for="[2001:db8::9]:4711"', "2001:db8::9"),
            ('for="\\[2001:db8::9\\]"', "2001:db8::9"),
            ("for=127.0.0.1, for=203.0.113.9", "203.0.113.9"),
            ('for="_a, for=127.0.0.1", for=203.0.113.9', "203.0.113.9"),
            ("for=203.0.113.9, for=10.0.0.1", "203.0.113.9"),
        ],
    )
    def test_h11_its_elements_are_hops(self, value: str, expected: str) -> None:
        assert expected == settled(("forwarded", value), header=ProxyHeader.FORWARDED)

    @pytest.mark.parametrize(
        "value",
        [
            "for=unknown", "for=_hidden", "by=10.0.0.1", "for=1.2.3.4;for=203.0.113.9",
            'for="203.0.113.9', 'for="x, for=203.0.113.9', "for=[2001:db8::9]",
            "for=203.0.113.9:80", "203.0.113.9", "for = 203.0.113.9", "for=",
            'for=""', 'for="a";for="b', '"' + '\\"' * 4000,
        ],
    )  # fmt: skip
    def test_h11_one_that_names_nobody_refuses_the_request(self, value: str) -> None:
        with pytest.raises(InvalidInputError):
            settled(("forwarded", value), header=ProxyHeader.FORWARDED)

    def test_then_the_other_header_is_not_looked_at(self) -> None:
        assert "203.0.113.9" == settled(
            (XFF, "127.0.0.1"),
            ("forwarded", "for=203.0.113.9"),
            header=ProxyHeader.FORWARDED,
        )


@pytest.mark.parametrize(
    ("peer", "value", "expected"),
    [
        ("127.0.0.1", "https", True),
        ("127.0.0.1", "HTTPS", True),
        ("127.0.0.1", "http", False),
        ("127.0.0.1", "https, http", False),
        ("192.0.2.7", "https", False),
    ],
)
def test_only_a_trusted_proxy_says_that_a_client_speaks_tls(
    peer: str, value: str, expected: bool
) -> None:
    proxies = Proxies(EdgeConfig(trusted_proxies=OURS))
    headers = Headers(raw=[(b"x-forwarded-proto", value.encode())])

    assert expected is proxies.settle({"client": (peer, 1)}, headers)
