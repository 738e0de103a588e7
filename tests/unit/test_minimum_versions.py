"""What is installed is new enough: a known hole is not run.

An audit tool that finds no database calls everything sound, so the floors are
written down here, by hand, with what was wrong below each of them.
"""

import re
from importlib.metadata import PackageNotFoundError, distributions, version
from pathlib import Path

import av
import pytest
from cryptography.hazmat.backends.openssl import backend

ROOT = Path(__file__).resolve().parents[2]
FLOORS = {
    "starlette": ("1.0.1", "CVE-2025-62727 ranges, CVE-2026-48710 host in the path"),
    "h11": ("0.16", "CVE-2025-43859 chunk terminators"),
    "httptools": ("0.6", "llhttp of before was lenient about framing"),
    "uvicorn": ("0.34", "strict header parsing"),
    "cryptography": ("50", "CVE-2026-26007 subgroups; cobblestone and HPKE"),
    "httpcore": ("1.0.9", "CVE-2025-43859 with the h11 of before"),
    "joserfc": ("1.4", "limits on what a token may cost"),
    "pylibsrtp": ("1.0", "libsrtp 2.7: AEAD in the wheel"),
    "av": ("15", "FFmpeg 7.1 and newer"),
    "urllib3": ("2.6", "decompression bombs"),
    "jinja2": ("3.1.6", "sandbox escapes"),
    "defusedxml": ("0.7.1", "every DTD can be forbidden"),
    "pyopenssl": ("26", "callbacks that fail closed"),
    "webauthn": ("2.7", "verification of user handles"),
    "ldap3": ("2.9.1", "escaping of filters and DNs"),
}
ABSENT = {
    "python-multipart": "forms with files are not taken: CVE-2026-40347 and others",
    "pyjwt": "CVE-2026-32597, CVE-2026-48523; tokens are joserfc's",
    "pyyaml-include": "nothing that loads code from data",
}
RUNTIME_LOCK = ROOT / "requirements.lock"
LINE = re.compile(r"^([a-z0-9._-]+)==([^ ;\\]+)", re.MULTILINE)


def numbers(text: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", text)[:4])


@pytest.mark.parametrize("name", FLOORS)
def test_a_part_is_not_older_than_its_floor(name: str) -> None:
    floor, why = FLOORS[name]

    assert numbers(version(name)) >= numbers(floor), why


@pytest.mark.parametrize("name", ABSENT)
def test_a_part_that_is_not_wanted_is_not_there(name: str) -> None:
    with pytest.raises(PackageNotFoundError):
        version(name)


def test_the_media_library_brings_an_ffmpeg_that_is_not_older_than_7() -> None:
    # libavformat 61 is FFmpeg 7.
    assert av.library_versions["libavformat"] >= (61, 0, 0)


def test_tls_and_ciphers_come_from_openssl_3_5_or_newer() -> None:
    found = numbers(backend.openssl_version_text().partition(" ")[2])

    assert found >= (3, 5)


def test_what_is_installed_is_what_the_lock_file_says() -> None:
    locked: dict[str, set[str]] = {}
    # One name may stand twice, for two versions of Python.
    for name, number in LINE.findall(RUNTIME_LOCK.read_text()):
        locked.setdefault(name, set()).add(number)
    installed = {
        re.sub(r"[-_.]+", "-", one.metadata["Name"]).lower(): one.version
        for one in distributions()
    }
    # Those of other systems and Pythons are locked and not installed.
    differing = {
        name: (installed[name], wanted)
        for name, wanted in locked.items()
        if name in installed and installed[name] not in wanted
    }

    assert {} == differing
