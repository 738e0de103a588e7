"""Orders that fail; those that are carried out are in tests/integration/test_tap*.py."""

import os

from vault import process
from vault.core.ids import new_recording_id
from vault.core.media import SrtpSuite
from vault.core.secrets import SecretBytes
from vault.tap import control
from vault.tap.config import TapConfig
from vault.tap.duties import Duties
from vault.tap.orders import PortPair, StreamOrder
from vault.tap.page import CallPage
from vault.tap.sweep import Sweep


def open_order() -> control.Fields:
    stream = StreamOrder(
        index=0,
        label="agent",
        media="audio",
        suite=SrtpSuite.AES_CM_128_HMAC_SHA1_80,
        key=SecretBytes(bytes(30)),
        payloads=(),
        ports=PortPair(address="127.0.0.1", rtp=40000, rtcp=40001),
    )
    return {
        "id": 1,
        "do": "open",
        "call": new_recording_id(),
        "part": 1,
        "dek": control.octets_field(SecretBytes(bytes(32))),
        "paused": False,
        "gap": "",
        "streams": [control.stream_fields(stream)],
    }


class TestACallOfWhichDescriptorsAreMissing:
    def test_is_refused_and_leaves_none_open(self) -> None:
        """
        The kernel leaves out what a process has no room for: one that is short of
        descriptors must not lose the others, too.
        """
        page = CallPage.create()
        duties = Duties(Sweep(TapConfig()))
        before = process.open_descriptors()
        # The part, the page, and one of two sockets.
        fds = [os.open(os.devnull, os.O_WRONLY), os.dup(page.fd)]
        fds.append(os.open(os.devnull, os.O_RDONLY))

        ((answer, _),) = duties.carry_out(open_order(), fds)

        left = process.open_descriptors() - before
        page.close()
        assert control.unpack(answer) == {"id": 1, "error": "ValueError"}
        assert left == 0
        assert not duties.holds_anything
