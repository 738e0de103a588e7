"""To whom a provider's documents may lead: H13 of the catalogue."""

from pathlib import Path

import pytest

from vault.access.provider_http import (
    ProviderHttp,
    ProviderHttpConfig,
    is_permitted,
)
from vault.core.errors import (
    ConfigurationError,
    IdentityRefusedError,
    UnavailableError,
)
from vault.core.origins import Origin

ISSUER = Origin.parse("https://login.example")


def http(*origins: str, **how: bool) -> ProviderHttp:
    known = frozenset({ISSUER, *map(Origin.parse, origins)})
    return ProviderHttp(ProviderHttpConfig(origins=known, **how))


class TestAddresses:
    @pytest.mark.parametrize(
        "address",
        [
            *("127.0.0.1", "127.9.9.9", "::1", "10.0.0.1", "172.16.0.1"),
            *("192.168.1.1", "100.64.0.1", "fd00::1", "0.0.0.1", "192.0.2.1"),
            *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "198.18.0.1", "240.0.0.1"),
        ],
    )
    def test_h13_a_private_one_is_for_who_has_asked_for_it(self, address: str) -> None:
        assert not is_permitted(address, private=False)

    @pytest.mark.parametrize(
        "address",
        [
            *("169.254.169.254", "::ffff:169.254.169.254", "fe80::1", "0.0.0.0", "::"),
            *("224.0.0.1", "ff02::1", "64:ff9b::a9fe:a9fe", "2002:a9fe:a9fe::1"),
            *("2001:0:a9fe:a9fe::1", "fe80::1%eth0", "login.example", "", "2130706433"),
        ],
    )
    @pytest.mark.parametrize("private", [True, False])
    def test_h13_some_are_for_nobody(self, address: str, *, private: bool) -> None:
        assert not is_permitted(address, private=private)

    @pytest.mark.parametrize("address", ["9.9.9.9", "2620:fe::fe", "::ffff:9.9.9.9"])
    def test_public_ones_are(self, address: str) -> None:
        assert is_permitted(address, private=False)

    @pytest.mark.parametrize("address", ["127.0.0.1", "10.0.0.1", "fd00::1", "::1"])
    def test_private_ones_are_where_that_was_asked_for(self, address: str) -> None:
        assert is_permitted(address, private=True)


class TestUrls:
    @pytest.mark.parametrize(
        "url",
        [
            "https://login.example/keys",
            "https://LOGIN.example:443/keys?x=1",
            "https://keys.example:8443/",
        ],
    )
    def test_hosts_of_the_settings_are_asked(self, url: str) -> None:
        assert http("https://keys.example:8443").permits(url)

    @pytest.mark.parametrize(
        "url",
        [
            "http://login.example/keys",
            "https://login.example:8443/keys",
            "https://login.example.evil.test/keys",
            "https://login.example@evil.test/keys",
            "https://login.example\\@evil.test/",
            "https://evil.test/#https://login.example",
            "https://evil.test/",
            "https://169.254.169.254/latest/meta-data",
            "https://0xa9fea9fe/",
            "https://2852039166/",
            "https://[::ffff:169.254.169.254]/",
            "file:///etc/passwd",
            "gopher://login.example/",
            "ftp://login.example/",
            "javascript:alert(1)",
            "//login.example/keys",
            "/keys",
            "",
            "https://",
            "https://login.example\r\nX: y/",
        ],
    )
    def test_h13_nobody_else_is(self, url: str) -> None:
        client = http()

        assert not client.permits(url)
        with pytest.raises(IdentityRefusedError) as refusal:
            client.get(url)
        assert "provider-address" == refusal.value.reason

    def test_http_is_for_loopback_and_who_has_asked_for_it(self) -> None:
        urls = ("http://127.0.0.1:9/", "http://plain.example/")
        origins = ("http://127.0.0.1:9", "http://plain.example")

        permitted = [
            [http(*origins, loopback_http=loopback).permits(url) for url in urls]
            for loopback in (True, False)
        ]

        assert [[True, False], [False, False]] == permitted


class TestNames:
    @pytest.mark.parametrize(
        "found", [["169.254.169.254"], ["10.0.0.1"], ["127.0.0.1", "::1"]]
    )
    def test_h13_a_name_that_leads_inside_is_not_followed(
        self, found: list[str]
    ) -> None:
        client = ProviderHttp(
            ProviderHttpConfig(origins=frozenset({ISSUER})),
            resolve=lambda host, port: found,
        )

        with pytest.raises(IdentityRefusedError) as refusal:
            client.get("https://login.example/keys")

        assert "provider-address" == refusal.value.reason

    def test_a_name_that_nobody_knows_is_out_of_reach(self) -> None:
        def unknown(host: str, port: int) -> list[str]:
            raise OSError("no such name")

        client = ProviderHttp(
            ProviderHttpConfig(origins=frozenset({ISSUER})), resolve=unknown
        )

        with pytest.raises(UnavailableError):
            client.get("https://login.example/keys")


def test_a_file_of_roots_that_is_none_stops_the_process(tmp_path: Path) -> None:
    for name, content in (("none", None), ("empty", b""), ("other", b"not PEM")):
        file = tmp_path / name
        if content is not None:
            file.write_bytes(content)

        with pytest.raises(ConfigurationError, match="oidc_ca_file"):
            ProviderHttp(ProviderHttpConfig(origins=frozenset({ISSUER}), ca_file=file))
