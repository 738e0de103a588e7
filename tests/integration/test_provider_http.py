"""Connections to a provider: which address, which certificate, for how long."""

import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.simulators.hostile_idp import Reply, hostile_idp
from tests.simulators.tls_certificates import Certified
from vault.access.provider_http import ProviderHttp, ProviderHttpConfig
from vault.core.errors import UnavailableError
from vault.core.origins import Origin

pytestmark = pytest.mark.network


def http(
    url: str, *, within_s: float = 5.0, ca_file: Path | None = None
) -> ProviderHttp:
    config = ProviderHttpConfig(
        origins=frozenset({Origin.of_url(url)}),
        private_addresses=True,
        loopback_http=True,
        ca_file=ca_file,
        within_s=within_s,
    )
    return ProviderHttp(config, resolve=lambda host, port: ["127.0.0.1"])


@contextmanager
def tls_server(folder: Path, certified: Certified) -> Iterator[int]:
    """Answer one request over TLS."""
    cert, key = certified.write(folder, "server")
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(cert, key)
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(20)

    def serve() -> None:
        try:
            accepted, _ = listener.accept()
            with context.wrap_socket(accepted, server_side=True) as peer:
                peer.recv(4096)
                peer.sendall(
                    b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
                    b"Content-Length: 2\r\n\r\n{}"
                )
        except OSError:
            return  # the client did not like what it saw

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield listener.getsockname()[1]
    finally:
        thread.join()
        listener.close()


class TestCertificates:
    def test_of_the_root_of_the_settings_are_taken(self, tmp_path: Path) -> None:
        root = Certified.make("root", is_ca=True)
        ca_file, _ = root.write(tmp_path, "root")
        with tls_server(tmp_path, Certified.make("login.example", issuer=root)) as port:
            url = f"https://login.example:{port}/"

            answer = http(url, ca_file=ca_file).get(url)

        assert (200, b"{}") == (answer.status, answer.body)

    @pytest.mark.parametrize("name", ["login.example", "other.example"])
    def test_of_others_or_for_others_are_not(self, tmp_path: Path, name: str) -> None:
        root, other = (Certified.make("root", is_ca=True) for _ in range(2))
        ca_file, _ = root.write(tmp_path, "root")
        issuer = other if name == "login.example" else root
        with tls_server(tmp_path, Certified.make(name, issuer=issuer)) as port:
            url = f"https://login.example:{port}/"

            with pytest.raises(UnavailableError, match="no certificate that holds"):
                http(url, ca_file=ca_file).get(url)


class TestOneLook:
    def test_h13_a_name_is_resolved_once_and_that_address_is_used(self) -> None:
        """DNS rebinding: the second answer would be another address."""
        asked: list[str] = []

        def rebinding(host: str, port: int) -> list[str]:
            asked.append(host)
            return ["127.0.0.1"] if len(asked) == 1 else ["169.254.169.254"]

        with hostile_idp() as idp:
            port = Origin.of_url(idp.issuer).port
            url = f"http://localhost:{port}/keys"
            config = ProviderHttpConfig(
                origins=frozenset({Origin.of_url(url)}),
                private_addresses=True,
                loopback_http=True,
            )

            answer = ProviderHttp(config, resolve=rebinding).get(url)

            assert (200, ["localhost"]) == (answer.status, asked)
            assert idp.sent[-1][0]["Host"] == f"localhost:{port}"

    def test_a_proxy_of_the_environment_is_not_used(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            monkeypatch.setenv(name, "http://127.0.0.1:1")
        with hostile_idp() as idp:
            url = f"{idp.issuer}/keys"

            assert http(url).get(url).status == 200


class TestDeadline:
    @pytest.mark.parametrize("what", ["body", "head", "silence", "names"])
    def test_holds_whatever_is_slow(self, what: str) -> None:
        over = threading.Event()
        listener = socket.create_server(("127.0.0.1", 0))
        port = listener.getsockname()[1]

        def drip() -> None:
            head = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
            accepted, _ = listener.accept()
            with accepted:
                if what == "body":
                    accepted.sendall(head + b"Content-Length: 60000\r\n\r\n")
                while what != "silence" and not over.wait(0.05):
                    try:
                        accepted.sendall(head[:1] if what == "head" else b" ")
                    except OSError:
                        return
                over.wait(30)

        def names(host: str, port: int) -> list[str]:
            over.wait(30)
            return ["127.0.0.1"]

        thread = threading.Thread(target=drip)
        thread.start()
        url = f"http://127.0.0.1:{port}/"
        client = http(url, within_s=0.3)
        if what == "names":
            client._resolve = names
        try:
            with pytest.raises(UnavailableError):
                client.get(url)
        finally:
            over.set()
            if what == "names":
                socket.create_connection(("127.0.0.1", port)).close()
            thread.join()
            listener.close()

    def test_a_body_of_the_longest_length_is_read(self) -> None:
        with hostile_idp() as idp:
            idp.replies["/long"] = Reply(body=b"x" * 65_536)
            url = f"{idp.issuer}/long"

            assert len(http(url).get(url).body) == 65_536
