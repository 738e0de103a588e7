"""Orders and ends that fail; those that are carried out are in tests/integration/test_tap*.py."""

import os
from collections.abc import Callable

import pytest

from tests.simulators.tap_line import Line
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


@pytest.mark.usefixtures("socket_enabled")
class TestACallThatCannotBeClosed:
    def test_ends_as_cut_and_names_the_error_and_the_others_go_on(
        self, lines: Callable[..., Line]
    ) -> None:
        broken = lines()
        well = lines(beside=broken)
        duties = Duties(broken.sweep)
        broken.send_rtp(1, 2)
        broken.send(bytes(40))
        well.send_rtp(1, 2, 3)
        well.tick()
        # Its last chunk was written: nobody can write another one.
        broken.call.part.finish(0.0)
        for number, line in enumerate((broken, well)):
            order = {"do": "close", "how": "bye", "straggle_s": 0.0}
            duties.carry_out({"id": number, "call": line.id, **order}, [])

        said = [m for m, _ in duties.close_due() if m[0] != control.COUNTERS]
        well.tick()

        first, second = map(control.unpack, said)
        assert (first["id"], first["error"], first["how"]) == (0, "", "cut")
        assert first["part"]["failure"] == "AlreadyFinalized"
        assert (second["id"], second["how"], second["part"]["final"]) == (
            1,
            "bye",
            True,
        )
        assert broken.sweep.calls == {}
        assert well.stream.count.authentic == 3
