import pytest
from httpx import Client

from tests.simulators.asgi import SignedInAs


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/recordings?agent=ada&agent=bob",
        "/api/v1/recordings?agent=ada&%61gent=bob",
        "/api/v1/audit/entries?limit=1&limit=2",
        "/api/v1/extensions/match?address=1&address=2",
        "/api/v1/sessions?user=&user=*",
    ],
)
def test_a_parameter_that_stands_twice_is_refused(
    signed_in: SignedInAs, path: str
) -> None:
    answer = signed_in("ada").get(path)

    assert (422, "/problems/invalid-input") == (
        answer.status_code,
        answer.json()["type"],
    )


def test_a_stranger_hears_of_it_too_and_of_nothing_else(nobody: Client) -> None:
    assert nobody.get("/api/v1/recordings?agent=a&agent=b").status_code == 422
