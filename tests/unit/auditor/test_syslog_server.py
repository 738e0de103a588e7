"""Where the stream goes, as people write it."""

import pytest

from vault.auditor.syslog_server import SyslogServer


@pytest.mark.parametrize(
    ("url", "spelled"),
    [
        ("tls://siem.example", "tls://siem.example:6514"),
        ("tls://siem.example:10514/", "tls://siem.example:10514"),
        ("tls://[2001:db8::1]:1", "tls://[2001:db8::1]:1"),
        ("tcp://127.0.0.1", "tcp://127.0.0.1:601"),
    ],
)
def test_a_url_is_read_and_spelled_in_full(url: str, spelled: str) -> None:
    server = SyslogServer.parse(url)

    assert spelled == str(server)
    assert server == SyslogServer.parse(spelled)


@pytest.mark.parametrize(
    "url",
    [
        "udp://siem.example",
        "siem.example:6514",
        "tls://",
        "tls://siem.example/logs",
        "tls://user@siem.example",
        "tls://siem.example?x=1",
        "tls://siem.example:99999",
        f"tls://{'a' * 254}",
    ],
)
def test_what_is_no_receiver_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        SyslogServer.parse(url)


def test_a_name_is_never_loopback() -> None:
    assert [True, True, False, False] == [
        SyslogServer.parse(f"tcp://{host}").is_loopback
        for host in ("127.0.0.9", "[::1]", "localhost", "192.0.2.1")
    ]
