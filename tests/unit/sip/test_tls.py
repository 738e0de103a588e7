"""TLS against the standard library's, in memory."""

import contextlib
import ssl
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives import serialization

from tests.simulators.tls_certificates import Certified
from vault.core.errors import ConfigurationError
from vault.sip.tls import (
    CertificateRefusedError,
    TlsFailedError,
    TlsLayer,
    client_context,
    read_roots,
    server_context,
)


@dataclass(frozen=True)
class Site:
    folder: Path
    root: Certified
    ours: Certified
    cert: Path
    key: Path
    ca: Path


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    folder = tmp_path_factory.mktemp("tls")
    root = Certified.make("root.test", is_ca=True)
    ours = Certified.make("sip.test", issuer=root)
    cert, key = ours.write(folder, "ours")
    ca, _ = root.write(folder, "root")
    return Site(folder, root, ours, cert, key, ca)


class Client:
    """The standard library as the other side."""

    def __init__(
        self,
        site: Site,
        shown: Certified | None = None,
        *,
        context: ssl.SSLContext | None = None,
    ) -> None:
        self.context = context or ssl.create_default_context(cafile=str(site.ca))
        if shown is not None:
            self.context.load_cert_chain(*shown.write(site.folder, "client"))
        self.incoming, self.out = ssl.MemoryBIO(), ssl.MemoryBIO()
        self.tls = self.context.wrap_bio(
            self.incoming, self.out, server_hostname="sip.test"
        )

    def shake(self, layer: TlsLayer) -> None:
        """Shake hands until nobody has anything to say."""
        for _ in range(8):
            with contextlib.suppress(ssl.SSLWantReadError):
                self.tls.do_handshake()
            try:
                layer.take(self.out.read())
            finally:
                self.incoming.write(layer.outgoing())


def server(site: Site, *, ca: bool = False) -> TlsLayer:
    context = server_context(cert=site.cert, key=site.key, ca=site.ca if ca else None)
    return TlsLayer(context, is_server=True, needs_root=ca)


class TestServer:
    def test_octets_go_both_ways(self, site: Site) -> None:
        layer, client = server(site), Client(site)
        client.shake(layer)
        client.tls.write(b"OPTIONS")
        layer.put(b"200" * 20_000)

        assert b"OPTIONS" == layer.take(client.out.read())
        client.incoming.write(layer.outgoing())
        heard = b""
        while len(heard) < 60_000:
            heard += client.tls.read(65536)
        assert b"200" * 20_000 == heard

    def test_a_peer_without_certificate_gets_in_and_has_proved_nothing(
        self, site: Site
    ) -> None:
        layer, client = server(site), Client(site)
        client.shake(layer)

        assert layer.is_open
        assert layer.certificate_sha256 is None

    @pytest.mark.parametrize("ca", [False, True])
    @pytest.mark.parametrize("rsa_bits", [0, 2048])
    def test_a_self_signed_certificate_is_taken_for_its_fingerprint(
        self, site: Site, ca: bool, rsa_bits: int
    ) -> None:
        shown = Certified.make("pbx.test", rsa_bits=rsa_bits)
        layer, client = server(site, ca=ca), Client(site, shown)
        client.shake(layer)

        assert shown.sha256 == layer.certificate_sha256

    def test_a_certificate_of_our_root_is_taken_whatever_it_was_made_for(
        self, site: Site
    ) -> None:
        """Public authorities no longer make certificates for clients."""
        shown = Certified.make("sbc.test", issuer=site.root)
        layer, client = server(site, ca=True), Client(site, shown)
        client.shake(layer)

        assert shown.sha256 == layer.certificate_sha256

    def test_a_certificate_of_a_strange_root_is_taken_only_without_roots_of_ours(
        self, site: Site
    ) -> None:
        strange = Certified.make("strange.test", is_ca=True)
        shown = Certified.make("sbc.test", issuer=strange)
        layer, client = server(site), Client(site, shown)
        client.shake(layer)

        assert shown.sha256 == layer.certificate_sha256
        with pytest.raises(CertificateRefusedError):
            Client(site, shown).shake(server(site, ca=True))

    @pytest.mark.parametrize("ca", [False, True])
    @pytest.mark.parametrize("own", [False, True])
    @pytest.mark.parametrize("days", [(-2, -1), (1, 2)])
    def test_a_certificate_out_of_its_time_is_refused(
        self, site: Site, days: tuple[float, float], own: bool, ca: bool
    ) -> None:
        issuer = None if own else site.root
        shown = Certified.make("sbc.test", issuer=issuer, days=days)

        with pytest.raises(CertificateRefusedError):
            Client(site, shown).shake(server(site, ca=ca))

    def test_a_certificate_out_of_its_time_of_a_strange_root_is_refused(
        self, site: Site
    ) -> None:
        strange = Certified.make("strange.test", is_ca=True)
        shown = Certified.make("sbc.test", issuer=strange, days=(-2, -1))

        with pytest.raises(CertificateRefusedError):
            Client(site, shown).shake(server(site))

    def test_a_weak_key_is_refused(self, site: Site) -> None:
        context = ssl.create_default_context(cafile=str(site.ca))
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        shown = Certified.make("sbc.test", rsa_bits=1024)

        with pytest.raises(TlsFailedError):
            Client(site, shown, context=context).shake(server(site))

    @pytest.mark.parametrize("version", ["TLSv1", "TLSv1_1"])
    def test_versions_of_before_are_refused(self, site: Site, version: str) -> None:
        context = ssl.create_default_context(cafile=str(site.ca))
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", DeprecationWarning)
            context.minimum_version = ssl.TLSVersion.TLSv1
            context.maximum_version = ssl.TLSVersion[version]

        with pytest.raises((TlsFailedError, ssl.SSLError)):
            Client(site, context=context).shake(server(site))

    @pytest.mark.parametrize(
        "ciphers",
        ["AES128-SHA", "AES256-GCM-SHA384", "ECDHE-ECDSA-AES128-SHA", "PSK", "aNULL"],
    )
    def test_suites_without_secrecy_or_aead_are_refused(
        self, site: Site, ciphers: str
    ) -> None:
        context = ssl.create_default_context(cafile=str(site.ca))
        context.maximum_version = ssl.TLSVersion.TLSv1_2
        context.set_ciphers(f"{ciphers}:@SECLEVEL=0")

        with pytest.raises((TlsFailedError, ssl.SSLError)):
            Client(site, context=context).shake(server(site))

    @pytest.mark.parametrize("version", ["TLSv1_2", "TLSv1_3"])
    def test_nothing_is_resumed(self, site: Site, version: str) -> None:
        context = ssl.create_default_context(cafile=str(site.ca))
        context.minimum_version = context.maximum_version = ssl.TLSVersion[version]
        layer, client = server(site), Client(site, context=context)
        client.shake(layer)
        layer.put(b"x")
        client.incoming.write(layer.outgoing())
        client.tls.read(1)

        session = client.tls.session
        other = server(site)
        again = Client(site, context=context)
        if session is not None:
            again.tls.session = session
        again.shake(other)

        assert not again.tls.session_reused

    @pytest.mark.parametrize(
        "octets",
        [
            b"INVITE sip:a@b SIP/2.0\r\n\r\n",
            b"\x16\x03\x01\xff\xff" + bytes(70_000),
            b"\0" * 9,
        ],
    )
    def test_what_is_no_tls_fails_and_nothing_else(
        self, site: Site, octets: bytes
    ) -> None:
        with pytest.raises(TlsFailedError):
            server(site).take(octets)

    def test_a_flipped_bit_ends_the_connection(self, site: Site) -> None:
        layer, client = server(site), Client(site)
        client.shake(layer)
        client.tls.write(b"OPTIONS")
        octets = bytearray(client.out.read())
        octets[-1] ^= 1

        with pytest.raises(TlsFailedError):
            layer.take(bytes(octets))

    def test_a_goodbye_is_heard(self, site: Site) -> None:
        layer, client = server(site), Client(site)
        client.shake(layer)
        with contextlib.suppress(ssl.SSLWantReadError):
            client.tls.unwrap()
        layer.take(client.out.read())

        assert layer.is_ended

    def test_a_layer_that_is_not_open_takes_nothing_to_send(self, site: Site) -> None:
        with pytest.raises(RuntimeError):
            server(site).put(b"200")


class TestClient:
    def shaken(self, site: Site, shown: Certified) -> TlsLayer:
        """Return our side of a handshake with a server that shows *shown*."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(*shown.write(site.folder, "server"))
        incoming, out = ssl.MemoryBIO(), ssl.MemoryBIO()
        other = context.wrap_bio(incoming, out, server_side=True)
        layer = TlsLayer(
            client_context(cert=site.cert, key=site.key, ca=None),
            is_server=False,
            needs_root=False,
            server_name="sbc.test",
        )
        for _ in range(4):
            incoming.write(layer.outgoing())
            with contextlib.suppress(ssl.SSLWantReadError):
                other.do_handshake()
            layer.take(out.read())
        assert layer.is_open
        return layer

    def test_a_server_of_our_root_is_accepted_for_its_names_only(
        self, site: Site
    ) -> None:
        roots = read_roots(site.ca)
        layer = self.shaken(site, Certified.make("sbc.test", issuer=site.root))
        layer.check_server("sbc.test", roots=roots, known=None)
        layer.check_server("127.0.0.1", roots=roots, known=None)

        for host in ("pbx.test", "127.0.0.2", "", "not a name"):
            with pytest.raises(CertificateRefusedError):
                layer.check_server(host, roots=roots, known=None)

    def test_a_server_of_a_strange_root_is_refused(self, site: Site) -> None:
        layer = self.shaken(site, Certified.make("sbc.test"))

        for roots in ((), read_roots(site.ca)):
            with pytest.raises(CertificateRefusedError):
                layer.check_server("sbc.test", roots=roots, known=None)

    def test_who_came_to_us_with_a_certificate_is_known_by_it(self, site: Site) -> None:
        shown = Certified.make("sbc.test")
        layer = self.shaken(site, shown)
        layer.check_server("10.0.0.1", roots=(), known=shown.sha256)

        with pytest.raises(CertificateRefusedError):
            layer.check_server("10.0.0.1", roots=(), known=bytes(32))


class TestFiles:
    def test_a_key_of_another_certificate_is_refused(self, site: Site) -> None:
        _, key = Certified.make("other.test").write(site.folder, "other")

        with pytest.raises(ConfigurationError):
            server_context(cert=site.cert, key=key, ca=None)

    def test_a_key_with_a_passphrase_is_refused_and_nobody_is_asked(
        self, site: Site, tmp_path: Path
    ) -> None:
        locked = tmp_path / "locked.key"
        locked.write_bytes(
            site.ours.key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.PKCS8,
                serialization.BestAvailableEncryption(b"secret"),
            )
        )

        with pytest.raises(ConfigurationError):
            server_context(cert=site.cert, key=locked, ca=None)

    @pytest.mark.parametrize("missing", ["cert", "key", "ca"])
    def test_a_file_that_is_not_there_is_refused(
        self, site: Site, missing: str, tmp_path: Path
    ) -> None:
        files = {"cert": site.cert, "key": site.key, "ca": site.ca}
        files[missing] = tmp_path / "absent"

        with pytest.raises(ConfigurationError):
            server_context(**files)

    def test_roots_that_are_no_certificates_are_refused(self, tmp_path: Path) -> None:
        bad = tmp_path / "bad.pem"
        bad.write_text("nothing")

        for path in (bad, tmp_path / "absent"):
            with pytest.raises(ConfigurationError):
                read_roots(path)
        assert () == read_roots(None)
