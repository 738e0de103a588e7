import threading

import pytest

from vault.core.errors import AuditUnavailableError
from vault.core.secrets import SecretBytes
from vault.playback.lease import Lease

KEY = SecretBytes(bytes(32))


def test_the_key_is_asked_for_once_by_many() -> None:
    lease, asked = Lease(until_ns=0), []
    start = threading.Barrier(8)

    def ask() -> None:
        start.wait()
        lease.key(lambda: asked.append(1) or KEY)

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert asked == [1]


def test_a_refusal_is_not_kept() -> None:
    lease = Lease(until_ns=0)

    def refuse() -> SecretBytes:
        raise AuditUnavailableError("down")

    with pytest.raises(AuditUnavailableError):
        lease.key(refuse)

    assert lease.key(lambda: KEY) == KEY


def test_a_dropped_lease_has_no_key_and_keeps_no_reader() -> None:
    lease = Lease(until_ns=0)
    lease.key(lambda: KEY)
    lease.drop()
    opened = []

    for _ in range(2):
        lease.reader("rendition/0001", lambda: opened.append(1))  # type: ignore[arg-type,return-value] - never read

    assert opened == [1, 1]
