"""The same way of a call on PostgreSQL and S3, both real."""

from collections.abc import Iterator

import pytest

from tests.simulators import radosgw
from tests.simulators.hearing import RATE_HZ, aligned, decoded, mu_law
from tests.simulators.postgres import throwaway_postgres
from tests.simulators.site import NUMBERS, PEOPLE, Site, serving
from vault.tap.simulate import conversation

pytestmark = [
    pytest.mark.network,
    pytest.mark.postgres,
    pytest.mark.s3,
    pytest.mark.xdist_group("system-servers"),
]


@pytest.fixture(scope="module")
def site_on_servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """An installation that keeps nothing but keys and spool in its folder."""
    if reason := radosgw.missing():
        pytest.skip(f"no S3 server: {reason}")
    secrets = tmp_path_factory.mktemp("secrets")
    with (
        throwaway_postgres(durable=True) as database,
        radosgw.running() as gateway,
    ):
        files = {"access": gateway.access_key, "secret": gateway.secret_key}
        for name, value in files.items():
            (secrets / name).write_text(value)
            (secrets / name).chmod(0o600)
        with serving(
            people=PEOPLE[:2],
            CALLVAULT_DATABASE_URL=database,
            CALLVAULT_OBJECTS_URL=gateway.url("recordings"),
            CALLVAULT_OBJECTS_ACCESS_KEY_FILE=str(secrets / "access"),
            CALLVAULT_OBJECTS_SECRET_KEY_FILE=str(secrets / "secret"),
        ) as site:
            yield site


def test_a_call_is_recorded_found_played_and_on_the_trail(
    site_on_servers: Site,
) -> None:
    site = site_on_servers
    heard = site.heard(seconds=2.0)

    found = site.sam.get("/recordings", params={"party": NUMBERS["callee"]}).json()
    audio = site.sam.get(f"/recordings/{heard.id}/audio")
    part = site.sam.get(
        f"/recordings/{heard.id}/audio", headers={"Range": "bytes=16380-16391"}
    )

    assert heard.state == ("ready", None)
    assert heard.call.packets == heard.total("packets_authentic")
    assert [heard.id] == [item["id"] for item in found["items"]]
    said = mu_law(conversation("agent"))[: 2 * RATE_HZ]
    assert (said == aligned(said, decoded(audio.content)[0])).all()
    assert (206, audio.content[16380:16392]) == (part.status_code, part.content)
    assert site.rita.get(f"/recordings/{heard.id}").status_code == 404


def test_its_trail_verifies(site_on_servers: Site) -> None:
    vault = site_on_servers.vault
    file = vault.place / "trail.jsonl"
    vault.said("audit", "export", "--output", file)
    key = vault.said("audit", "key").strip()

    said = vault.said("audit", "verify", file, "--key", key)

    assert said.startswith("OK")


def test_nothing_of_it_lies_in_the_folder(site_on_servers: Site) -> None:
    vault = site_on_servers.vault
    kept = {path.name for path in vault.folder.rglob("*") if path.is_file()}

    assert not {"catalog.sqlite", "audit.sqlite"} & kept
    assert not list((vault.folder / "objects").rglob("*/rendition/*"))


def test_the_doctor_looks_at_both(site_on_servers: Site) -> None:
    done = site_on_servers.vault.run("doctor")

    assert done.returncode == 0, done.stdout
    assert "ok    catalog database" in done.stdout
    assert "ok    object store" in done.stdout
