"""What is held, and the marks of one recording, for those who mark."""

import re

from httpx import Client, Response
from sqlalchemy import update

from tests.simulators.asgi import SignedInAs
from tests.simulators.web_vault import WebVault
from vault.access.classes import Demands, RecordingClass, put_class
from vault.access.permissions import Role
from vault.catalog.tables import RECORDING
from vault.database.engine import transaction

WHY = "letter of the court"


def post(client: Client, path: str, **fields: str) -> Response:
    found = re.search(r'name="csrf" value="([^"]+)"', client.get("/account").text)
    assert found is not None
    return client.post(path, data={"csrf": found[1]} | fields)


def test_an_officer_holds_finds_and_releases_without_seeing_the_call(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    olga, recording = in_browser("olga", own_vault), own_vault.record()
    path, marks = f"/recordings/{recording}", f"/holds/{recording}"
    none = olga.get("/holds").text
    opened = olga.get("/holds", params={"recording": recording})
    held = post(olga, f"{path}/hold", reason=WHY)
    listed, page = olga.get("/holds").text, olga.get(marks).text
    short = post(olga, f"{path}/release", reason="x")
    released = post(olga, f"{path}/release", reason=WHY, back="/holds")

    assert "Nothing is held" in none
    assert (303, marks) == (opened.status_code, opened.headers["location"])
    assert (303, marks) == (held.status_code, held.headers["location"])
    assert f'href="{marks}"' in listed
    assert '<td data-name="by">olga</td>' in listed
    assert '<td data-name="workgroup">sales</td>' in listed
    assert "Release the hold" in page
    assert "+49 30 901820" not in listed + page
    assert 422 == short.status_code
    assert "/holds" == released.headers["location"]
    assert "Nothing is held" in olga.get("/holds").text


def test_a_hold_that_stands_stays_that_of_who_placed_it(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    own_vault.person("oskar", Role.OFFICER)
    recording = own_vault.record()
    for name in ("olga", "oskar"):
        held = post(
            in_browser(name, own_vault), f"/recordings/{recording}/hold", reason=WHY
        )
        assert 303 == held.status_code

    assert (
        '<td data-name="by">olga</td>'
        in in_browser("olga", own_vault).get("/holds").text
    )


def test_a_class_is_chosen_on_the_page_of_the_recording(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    own_vault.person("vera", Role.OFFICER, Role.SUPERVISOR, workgroups=["sales"])
    with transaction(own_vault.catalog) as connection:
        demands = Demands(reason=True, approval=False)
        put_class(connection, RecordingClass(name="board", demands=demands))
    recording, vera = own_vault.record(), in_browser("vera", own_vault)
    path = f"/recordings/{recording}"
    page = vera.get(path).text
    chosen = post(vera, f"{path}/class", **{"class": "board", "back": path})

    assert "Hold it" in page
    assert path == chosen.headers["location"]
    assert "<option selected>board</option>" in vera.get(path).text
    assert "Hold it" not in in_browser("ada", own_vault).get(path).text
    looser = post(vera, f"{path}/class", **{"class": "", "back": path})
    assert "waits" in vera.get(looser.headers["location"]).text


def test_who_marks_nothing_finds_nothing(
    own_vault: WebVault, in_browser: SignedInAs
) -> None:
    recording = own_vault.record()
    with transaction(own_vault.catalog) as connection:
        connection.execute(update(RECORDING).values(held=True))
    ada = in_browser("ada", own_vault)

    assert 403 == ada.get("/holds").status_code
    assert 404 == ada.get(f"/holds/{recording}").status_code
    assert 'href="/holds"' not in ada.get("/account").text
    assert 'href="/holds"' in in_browser("olga", own_vault).get("/account").text
