"""Keys that come late: a call that nobody could open is heard after all."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law
from tests.simulators.installation import until
from tests.simulators.site import NUMBERS, Site
from vault.core.media import SrtpSuite
from vault.tap.simulate import SimulatedCall, conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]

SECONDS = 1.5


def key_file(call: SimulatedCall, *labels: str) -> str:
    """Return the keys of *call* as the howto says, from its own SDP."""
    offer = call.build_offer()
    found = re.findall(r"a=label:(\w+)\r\n(a=crypto:[^\r]+)", offer)
    return "".join(f"{label} {line}\n" for label, line in found if label in labels)


def test_a_call_under_keys_that_nobody_signalled_is_heard_once_they_are_known(
    site: Site, tmp_path: Path
) -> None:
    # An AEAD suite: a try with the wrong key spoils a packet that is not copied.
    suite = SrtpSuite.AEAD_AES_256_GCM
    call = site.pbx.begin(suite=suite, seconds=SECONDS, workgroup="Claims", **NUMBERS)
    talking = SimulatedCall(suite=suite, seconds=SECONDS)
    sent = talking.send(call.answer)
    site.pbx.end(call)
    before = site.wait(call)
    vault, id = site.vault, before.id
    file = tmp_path / "keys"

    # 1. Keys of another call open nothing, and cost nothing.
    file.write_text(key_file(SimulatedCall(suite=suite), "agent", "customer"))
    file.chmod(0o600)
    wrong = vault.run("recordings", "recover", id, "--srtp-key-file", file)
    # 2. A file that others can read is refused.
    file.write_text(key_file(talking, "agent"))
    file.chmod(0o644)
    open_file = vault.run("recordings", "recover", id, "--srtp-key-file", file)
    # 3. The key of one party opens what that party said.
    file.chmod(0o600)
    packets = sent[0].packets
    half = vault.json("recordings", "recover", id, "--srtp-key-file", file)
    shown = until(lambda: _with_authentic(site, id, packets), "one party is heard")
    half_reason = shown["state"], shown["reason"]
    # 4. The other one's opens the rest.
    keys = key_file(talking, "customer")
    whole = vault.said(
        "recordings", "recover", id, "--srtp-key-file", "-", "--json", stdin=keys
    )
    shown = until(lambda: _with_authentic(site, id, 2 * packets), "both are heard")
    audio = decoded(site.sam.get(f"/recordings/{id}/audio").content)
    again = vault.run("recordings", "recover", id, "--srtp-key-file", "-", stdin=keys)

    assert before.state == ("partial", "srtp-unauthenticated")
    assert (1, True) == (wrong.returncode, f" {2 * packets} packets" in wrong.stderr)
    assert (1, True) == (open_file.returncode, "0600" in open_file.stderr)
    assert half == {"id": id, "recovered": packets, "undecryptable": packets}
    assert half_reason == ("partial", "srtp-unauthenticated")
    assert json.loads(whole) == {"id": id, "recovered": packets, "undecryptable": 0}
    assert (shown["state"], shown["reason"]) == ("ready", None)
    assert [0, 0] == [each["packets_undecryptable"] for each in shown["streams"]]
    for channel, label in enumerate(("agent", "customer")):
        said = mu_law(conversation(label))[: int(SECONDS * RATE_HZ)]
        assert np.array_equal(said, aligned(said, audio[channel]))
    assert (1, True) == (again.returncode, "waits for a key" in again.stderr)
    _the_trail_has_it_all(site, id)


def _with_authentic(site: Site, id: str, packets: int) -> dict | None:
    shown = site.sam.get(f"/recordings/{id}").json()
    found = sum(each["packets_authentic"] for each in shown["streams"])
    return shown if found == packets else None


def _the_trail_has_it_all(site: Site, id: str) -> None:
    mine = [leaf for leaf in site.vault.trail() if leaf.get("recording") == id]
    recovered = [leaf for leaf in mine if leaf["action"] == "recording.recovered"]
    released = [
        leaf["via"]
        for leaf in mine
        if leaf["action"] == "recording.key.released"
        and leaf["detail"]["purpose"] == "recover"
    ]
    stored = site.vault.objects(id)

    assert [
        ("refused", "-"),
        ("ok", "srtp/0001"),
        ("ok", "srtp/0002"),
        ("refused", "-"),
    ] == [(leaf["result"], leaf["detail"].get("object", "-")) for leaf in recovered]
    assert released == ["cli"] * 4
    assert {"srtp/0001", "srtp/0002", "rendition/0002", "quality/0003"} <= stored.keys()
