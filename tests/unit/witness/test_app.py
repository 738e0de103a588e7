from pathlib import Path

import httpx
import pytest

from tests.simulators.asgi import AsgiTransport
from tests.simulators.trail import signer
from tests.simulators.witnesses import Leaves, cosigner, witness
from vault.audit.cosignature import with_lines
from vault.edge.config import EdgeConfig
from vault.edge.gate import Gate
from vault.witness.app import witness_app

LOG = Leaves()
FORK = Leaves(fork=3)


@pytest.fixture
def client(tmp_path: Path) -> httpx.Client:
    app = Gate(witness_app(witness(tmp_path / "w")), EdgeConfig())
    return httpx.Client(transport=AsgiTransport(app), base_url="http://w.example")


def post(client: httpx.Client, old: int, new: int, log: Leaves = LOG) -> httpx.Response:
    return client.post("/add-checkpoint", content=bytes(log.submission(old, new)))


def test_200_is_a_cosignature_line(client: httpx.Client) -> None:
    answer = post(client, 0, 5)
    found = cosigner().cosigner.open(with_lines(LOG.note(5), [answer.text]))

    assert (200, LOG.checkpoint(5)) == (answer.status_code, found.checkpoint)


def test_409_is_the_size_that_it_knows(client: httpx.Client) -> None:
    post(client, 0, 5)
    answer = post(client, 0, 9)

    assert (409, "text/x.tlog.size", "5\n") == (
        answer.status_code,
        answer.headers["content-type"],
        answer.text,
    )


def test_409_is_another_tree_of_that_size(client: httpx.Client) -> None:
    post(client, 0, 9)
    answer = post(client, 9, 9, FORK)

    assert (409, "9\n") == (answer.status_code, answer.text)


def test_422_is_a_proof_that_does_not_hold(client: httpx.Client) -> None:
    post(client, 0, 9)

    assert 422 == post(client, 9, 20, FORK).status_code


def test_404_is_a_log_that_it_does_not_follow(client: httpx.Client) -> None:
    note = signer(name="other").sign("other\n0\n" + "A" * 43 + "=\n")

    assert 404 == client.post("/add-checkpoint", content=f"old 0\n\n{note}").status_code


def test_403_is_a_key_that_it_does_not_know(client: httpx.Client) -> None:
    note = signer(bytes(32)).sign_checkpoint(LOG.checkpoint(5))

    assert 403 == client.post("/add-checkpoint", content=f"old 0\n\n{note}").status_code


@pytest.mark.parametrize("body", [b"", b"old 0\n\n", b"\xff", bytes(1000)])
def test_400_is_no_submission(client: httpx.Client, body: bytes) -> None:
    assert 400 == client.post("/add-checkpoint", content=body).status_code


def test_400_is_an_old_size_beyond_the_new_one(client: httpx.Client) -> None:
    assert 400 == post(client, 6, 5).status_code


def test_413_is_a_body_that_nobody_needs(client: httpx.Client) -> None:
    answer = client.post("/add-checkpoint", content=bytes(200_000))

    assert 413 == answer.status_code


def test_503_is_a_disk_that_fails_and_nothing_is_signed(
    client: httpx.Client, tmp_path: Path
) -> None:
    post(client, 0, 5)
    (kept,) = (tmp_path / "w").glob("*.json")
    kept.with_name(kept.name + ".new").mkdir()
    answer = post(client, 5, 9)

    assert 503 == answer.status_code
    assert "\u2014" not in answer.text


def test_it_says_that_it_is_there(client: httpx.Client) -> None:
    assert 200 == client.get("/healthz").status_code


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/add-checkpoint", 405),
        ("POST", "/healthz", 405),
        ("GET", "/", 404),
        ("POST", "/add-checkpoint/", 404),
        ("POST", "/w/add-checkpoint", 404),
    ],
)
def test_there_is_nothing_else(
    client: httpx.Client, method: str, path: str, status: int
) -> None:
    assert status == client.request(method, path).status_code
