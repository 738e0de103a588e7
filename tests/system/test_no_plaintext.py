"""No plaintext at rest, ever: every octet on disk, and every log line, is searched."""

import base64
import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from tests.simulators.installation import Process
from tests.simulators.site import PEOPLE, Heard, Site, serving
from vault.tap.simulate import conversation

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-small")]

FACTS = {
    "id": "ucid-00001072391461234567",
    "caller": "+4930901820771",
    "callee": "+4930901820772",
    "agent": "Zebulon Quartermain",
    "workgroup": "Claims",
    "attributes": {"policy": "police-nr-8812-kx"},
}
CANARY = b"a canary that the test itself writes"
PATTERN_BYTES = 32


@pytest.fixture(scope="module")
def secretive() -> Iterator[Site]:
    """An installation of its own: other tests write numbers of their own."""
    with serving(people=PEOPLE[:3]) as site:
        yield site


@pytest.fixture(scope="module")
def heard(secretive: Site) -> Heard:
    """A call that was recorded, found, played, converted and exported."""
    heard = secretive.heard(seconds=3.0, **FACTS)
    found = secretive.sam.get("/recordings", params={"party": FACTS["caller"]})
    assert heard.id in {item["id"] for item in found.json()["items"]}
    for part in ("audio", "peaks", "capture"):
        secretive.sam.get(f"/recordings/{heard.id}/{part}").raise_for_status()
    secretive.sam.get(f"/recordings/{heard.id}/audio", params={"format": "m4a"})
    # Somebody types the password where the name belongs.
    secretive.sam.post(
        "/sessions",
        json={"user": secretive.vault.passwords["sam"], "password": "no-such-password"},
    )
    secretive.vault.said(
        "recordings", "export", heard.id, "--format", "pcapng", "--output", "out.pcapng"
    )
    return heard


def _needles(site: Site, heard: Heard) -> Mapping[str, bytes]:
    """Return everything that nobody may find."""
    needles = {
        name: value.encode() for name, value in FACTS.items() if isinstance(value, str)
    }
    del needles["workgroup"]  # people and workgroups have names in the database
    needles["number without plus"] = FACTS["caller"][1:].encode()  # type: ignore[index] # a str
    needles["attribute"] = b"police-nr-8812-kx"
    for name, password in site.vault.passwords.items():
        needles[f"password of {name}"] = password.encode()
    for number, token in enumerate(site.vault.tokens):
        needles[f"token {number}"] = token.encode()
    offer = heard.call.simulated.build_offer()
    for number, key in enumerate(re.findall(r"inline:(\S+)", offer)):
        raw = base64.b64decode(key)
        needles[f"SRTP key {number}"] = key.rstrip("=").encode()
        needles[f"SRTP key {number}, raw"] = raw[:16]
        needles[f"SRTP key {number}, hex"] = raw[:16].hex().encode()
    needles["our answer's key"] = re.findall(r"inline:(\S+)", heard.call.answer)[0].encode()  # fmt: skip
    needles["passphrase"] = (site.vault.folder / "passphrase").read_bytes().strip()
    needles["a FLAC file"] = b"fLaC\x00\x00\x00\x22"
    needles["an MP4 file"] = b"ftypM4A"
    needles |= _media(heard)
    return needles


def _media(heard: Heard) -> dict[str, bytes]:
    """Return runs of what the agent said; the customer only listens so early."""
    said = conversation("agent")[: heard.call.packets // 2 * 160]
    runs = (said[at : at + PATTERN_BYTES] for at in range(0, len(said), 160))
    # Silence is left out: it could be anything.
    loud = [run for run in runs if len(set(run)) > PATTERN_BYTES // 2]
    assert len(loud) > 20
    return {f"what was said, {n}": run for n, run in enumerate(loud)}


def _files(site: Site) -> Mapping[str, bytes]:
    """Return every file of the installation, and its log."""
    kept: dict[str, bytes] = {"log": site.vault.log.read_bytes()}
    for path in site.vault.folder.rglob("*"):
        # The one file that is there to hold a secret, and says so.
        if path.is_file() and path.name != "passphrase":
            kept[str(path.relative_to(site.vault.folder))] = path.read_bytes()
    return kept


def _found(files: Mapping[str, bytes], needles: Mapping[str, bytes]) -> set[str]:
    return {
        f"{what} in {name}"
        for name, octets in files.items()
        for what, needle in needles.items()
        if needle in octets
    }


def test_nothing_of_a_call_lies_open_while_it_runs(
    secretive: Site, heard: Heard
) -> None:
    call = secretive.pbx.begin(seconds=2.0, **FACTS)
    secretive.pbx.speak(call)
    during = _files(secretive)
    secretive.pbx.end(call)
    running = Heard(call=call, shown={})

    assert any(name.startswith(f"spool/{call.id}/capture") for name in during)
    assert _found(during, _needles(secretive, running)) == set()


def test_nothing_of_a_call_lies_open_when_it_was_played(
    secretive: Site, heard: Heard
) -> None:
    files = _files(secretive)

    databases = {"catalog/catalog.sqlite", "catalog/catalog.sqlite-wal"}
    assert databases | {"audit/audit.sqlite"} <= files.keys()
    assert f"objects/media/{heard.id}/rendition/0001" in files
    assert len(files["log"]) > 1000
    assert _found(files, _needles(secretive, heard)) == set()


def test_the_search_finds_what_is_there(secretive: Site, heard: Heard) -> None:
    """
    A search that finds nothing proves nothing, unless it finds a canary: in a file
    of its own, and what the operator's own export holds in plaintext.
    """
    canary = secretive.vault.folder / "spool" / ".canary"
    canary.write_bytes(b"x" * 5000 + CANARY)
    try:
        found = _found(_files(secretive), {"canary": CANARY})
    finally:
        canary.unlink()
    exported = {"export": (secretive.vault.place / "out.pcapng").read_bytes()}

    assert found == {"canary in spool/.canary"}
    media = _media(heard)
    assert len(media) == len(_found(exported, media))


def test_no_process_writes_to_a_file_outside_the_folder(secretive: Site) -> None:
    """
    A temporary file that is deleted while it is open is found by no search of names.
    """
    call = secretive.pbx.begin(seconds=1.0, **FACTS)
    secretive.pbx.speak(call)
    written: set[str] = set()
    for process in secretive.vault.descendants():
        written |= _written_by(process)
    secretive.pbx.end(call)

    inside = {path for path in written if path.startswith(str(secretive.vault.folder))}
    assert any(f"/spool/{call.id}/" in path for path in inside)
    assert {str(secretive.vault.log)} == written - inside


def _written_by(process: Process) -> set[str]:
    """Return the regular files that *process* has open for writing."""
    found = set()
    try:
        descriptors = list(Path(f"/proc/{process.pid}/fd").iterdir())
    except PermissionError:
        pytest.skip("only root may look into processes that are closed to others")
    for descriptor in descriptors:
        info = Path(f"/proc/{process.pid}/fdinfo/{descriptor.name}")
        try:
            target = str(descriptor.readlink())
            flags = int(re.findall(r"flags:\s+([0-7]+)", info.read_text())[0], 8)
        except (FileNotFoundError, ProcessLookupError):
            continue  # closed meanwhile
        # The log is a file only because this test keeps it in one.
        if target.startswith("/") and not target.startswith(("/dev/", "/memfd:")):
            found |= {target} if flags & os.O_ACCMODE else set()
    return found
