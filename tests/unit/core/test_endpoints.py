import pytest

from vault.core.endpoints import Endpoint, SipListen, prefixes


def listeners(text: str, *, tls: bool = False) -> list[str]:
    return [
        f"{one.transport} {one.host} {one.port}"
        for one in SipListen(text).listeners(tls=tls)
    ]


class TestEndpoint:
    @pytest.mark.parametrize(
        "text", ["127.0.0.1:8080", "[::1]:0", "[2001:db8::1]:65535"]
    )
    def test_what_is_read_is_written_alike(self, text: str) -> None:
        assert text == str(Endpoint(text))

    @pytest.mark.parametrize(
        "text",
        ["", "8080", "localhost:1", "127.0.0.1:65536", "127.0.0.1:\u0661", "::1"],
    )
    def test_a_name_and_half_an_endpoint_are_refused(self, text: str) -> None:
        with pytest.raises(ValueError):
            Endpoint(text)


class TestSipListen:
    def test_one_endpoint_is_udp_tcp_and_with_a_certificate_tls_above(self) -> None:
        text = "127.0.0.1:5060"

        assert ["udp 127.0.0.1 5060", "tcp 127.0.0.1 5060"] == listeners(text)
        assert "tls 127.0.0.1 5061" == listeners(text, tls=True)[2]

    def test_a_transport_means_it_alone(self) -> None:
        assert ["tls ::1 5061", "udp 0.0.0.0 5060"] == listeners(
            "tls:[::1]:5061, udp:0.0.0.0:5060", tls=True
        )

    @pytest.mark.parametrize("text", ["off", ""])
    def test_off_is_nothing(self, text: str) -> None:
        assert ([], "off") == (listeners(text, tls=True), str(SipListen(text)))

    @pytest.mark.parametrize("text", ["127.0.0.1:5060", "tls:[::1]:5061,udp:[::]:5060"])
    def test_what_is_read_is_written_alike(self, text: str) -> None:
        assert text == str(SipListen(text))

    @pytest.mark.parametrize(
        "text",
        [
            "5060",
            "sctp:127.0.0.1:5060",
            "pbx.example.net:5060",
            "127.0.0.1:5060,off",
            "127.0.0.1:5060,udp:127.0.0.1:5060",
            "127.0.0.1:5060,tcp:127.0.0.1:5061,tls:127.0.0.1:5061",
            "127.0.0.1:65535",
            ",".join(f"udp:127.0.0.1:{port}" for port in range(1, 70)),
        ],
    )
    def test_what_cannot_be_is_refused_when_it_is_read(self, text: str) -> None:
        with pytest.raises(ValueError):
            SipListen(text)

    def test_tls_by_name_needs_a_certificate(self) -> None:
        said = [
            SipListen(text).needs_certificate for text in ("127.0.0.1:1", "tls:[::1]:2")
        ]

        assert [False, True] == said


class TestPrefixes:
    def test_addresses_and_prefixes_come_with_commas_or_as_a_list(self) -> None:
        assert ("10.0.0.0/8", "::1/128") == prefixes("10.0.0.0/8, ::1")
        assert ("192.0.2.7/32",) == prefixes(["192.0.2.7"])
        assert ("10.0.0.0/8",) == prefixes("::ffff:10.0.0.0/104")
        assert () == prefixes("")

    @pytest.mark.parametrize("value", ["10.1.2.3/8", "pbx", 7])
    def test_anything_else_is_refused(self, value: object) -> None:
        with pytest.raises(ValueError):
            prefixes(value)
