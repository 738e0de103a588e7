"""What ``callvault device`` sets, and what is left of it on trail and page."""

import subprocess

import pytest

from tests.simulators.installation import Installation, until
from tests.simulators.site import Site
from vault.access.credentials import digest_secrets

pytestmark = [pytest.mark.network, pytest.mark.xdist_group("system-shared")]


def shown(vault: Installation, name: str) -> dict[str, object]:
    (one,) = [one for one in vault.json("device", "list") if one["name"] == name]
    return one  # type: ignore[no-any-return]


def test_what_is_set_is_listed_and_on_the_trail_but_for_addresses(site: Site) -> None:
    vault = site.vault
    certificate = vault.place / "sbc.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "ed25519", "-nodes", "-subj"),
            *("/CN=sbc", "-keyout", str(vault.place / "sbc.key"), "-out"),
            str(certificate),
        ],
        check=True,
        capture_output=True,
    )
    fingerprint = subprocess.run(
        ["openssl", "x509", "-in", certificate, "-noout", "-sha256", "-fingerprint"],
        check=True,
        capture_output=True,
        text=True,
    ).stdout.strip()
    options = (
        *("--address", "192.0.2.0/24", "--address", "2001:db8::7", "--max-calls", "50"),
        *("--media-address", "198.51.100.0/24", "--certificate", str(certificate)),
    )
    vault.said("device", "add", "set-sbc", *options)
    first = shown(vault, "set-sbc")
    done = vault.run(
        *("device", "set", "set-sbc", "--no-media-address", "--max-calls", "0"),
        *("--allow", "clear-signalling", "--address", "192.0.2.9"),
    )
    second = shown(vault, "set-sbc")
    trail = [
        entry
        for entry in vault.trail()
        if entry.get("detail", {}).get("device") == first["id"]
    ]

    assert ["192.0.2.0/24", "2001:db8::7/128"] == first["addresses"]
    assert ["198.51.100.0/24"] == first["media_addresses"]
    pinned = "sha256:" + fingerprint.partition("=")[2].replace(":", "").lower()
    assert [pinned] == first["certificates"] == second["certificates"]
    assert (50, True) == (first["max_calls"], first["sip_password"])
    assert "read the keys of its calls" in done.stderr
    assert (["192.0.2.9/32"], [], 0, ["clear-signalling"]) == (
        second["addresses"],
        second["media_addresses"],
        second["max_calls"],
        second["allowances"],
    )
    assert ["access.device.added", "access.device.changed"] == [
        entry["action"] for entry in trail
    ]
    assert (
        "addresses.allowances.max-calls.media-addresses" == trail[1]["detail"]["fields"]
    )
    assert {"before", "after"} == set(trail[1]["text"])
    assert "192.0.2" not in repr(trail)


def test_a_renewed_token_takes_the_place_of_the_old_one(site: Site) -> None:
    vault = site.vault
    old = vault.add_pbx("renewed-pbx")
    renewed = vault.json("device", "renew", "renewed-pbx")
    refused = until(
        lambda: answer if (answer := old.offer("v=0")).status_code == 401 else None,
        "the tap refuses the old token",
    )

    assert renewed["token"].startswith("cvd_")
    assert 401 == refused.status_code
    assert digest_secrets("renewed-pbx", renewed["token"]).md5


def test_what_cannot_be_is_one_line_and_makes_nothing(site: Site) -> None:
    said = [
        site.vault.run("device", *words)
        for words in (
            ("renew", "nobody-here"),
            ("add", "odd", "--address", "10.0.0.1/8"),
            ("add", "odd", "--certificate", "/nowhere/x.pem"),
        )
    ]

    assert [(1, "", 1)] * 3 == [
        (one.returncode, one.stdout, len(one.stderr.splitlines())) for one in said
    ]
    assert ["no such device", "192.0.2.0/24", "cannot be read"] == [
        word
        for word, one in zip(
            ("no such device", "192.0.2.0/24", "cannot be read"), said, strict=True
        )
        if word in one.stderr
    ]
    assert "odd" not in [one["name"] for one in site.vault.json("device", "list")]
