import threading

import pytest

from vault.auditor.asking import Asking
from vault.core.errors import UnavailableError


def test_a_name_server_that_never_answers_ends_with_the_limit() -> None:
    over = threading.Event()

    def silent(_host: str, _port: int) -> list[str]:
        over.wait()
        return []

    asking = Asking(ca_file=None, within_s=0.05, resolve=silent)
    try:
        with pytest.raises(UnavailableError):
            asking.post("https://tsa.example/", b"", media_type="text/plain")
    finally:
        over.set()
