"""Our own recording client, where its recorder is not."""

import socket

import pytest

from vault.core.errors import UnavailableError
from vault.siprec.simulate import RecordingClient, Target

pytestmark = pytest.mark.network


def test_a_port_where_nobody_listens_is_no_answer() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as taken:
        taken.bind(("127.0.0.1", 0))
        port = taken.getsockname()[1]
    target = Target(transport="udp", address="127.0.0.1", port=port)

    with (
        RecordingClient(target, within_s=20) as client,
        pytest.raises(UnavailableError, match=f"udp:127.0.0.1:{port}"),
    ):
        client.options()
