"""Rendering in a process that may neither write a file nor look at itself."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.simulators.calls import Phone, Vault, added, babble, capture
from vault.core.ranges import ByteRange

ROOT = Path(__file__).resolve().parents[2]

_CONFINED = """
import json, os, resource, signal, sys
from vault.process import harden
from vault.renditions.flac import FlacWriter
from vault.renditions.m4a import M4aWriter
from vault.renditions.mixdown import timeline_of
from vault.renditions.packets import CaptureReader

reader = CaptureReader()
reader.feed(sys.stdin.buffer.read())
if os.getuid() == 0:
    os.setgroups([])
    os.setgid(65534)
    os.setuid(65534)
harden()
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
timeline = timeline_of(reader.finish())
sizes = []
for made in (FlacWriter(channels=2), M4aWriter(channels=2)):
    for block in timeline.blocks():
        made.write(block)
    sizes.append(len(made.finish()))
print(json.dumps({"uid": os.getuid(), "sizes": sizes}))
"""


@pytest.fixture
def call() -> bytes:
    packets = Phone(stream=0).say(babble(5, seed=1))
    packets += Phone(stream=1).say(babble(5, seed=2))
    return capture(packets, added(0, "agent"), added(1, "customer"))


def test_both_formats_are_made_without_a_single_octet_on_disk(call: bytes) -> None:
    """
    Not root, not dumpable (so /proc/self/fd cannot be opened), and every write to
    a file, memfd included, fails.
    """
    done = subprocess.run(
        [sys.executable, "-c", _CONFINED],
        input=call,
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"},
        check=False,
    )

    assert done.returncode == 0, done.stderr.decode()
    said = json.loads(done.stdout)
    assert said["uid"] != 0
    assert min(said["sizes"]) > 10_000


def test_nothing_in_an_installations_folder_holds_what_was_said(
    call: bytes, tmp_path: Path
) -> None:
    vault = Vault(tmp_path / "vault")
    id = vault.captured(call)
    vault.worker().run_once()
    opened = vault.playback().open(vault.grant(id))
    flac = b"".join(opened.stream(ByteRange(start=0, stop=opened.size)))
    secrets = [call[5000:5032], flac[2000:2032], b"+4989123", b"fLaC", b'"peaks"']

    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    found = {
        (path.name, secret)
        for path in files
        for secret in secrets
        if secret in path.read_bytes()
    }
    vault.close()

    assert len(files) > 8
    assert found == set()
