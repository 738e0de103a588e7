"""What needs no server; the rest is in tests/contract."""

import io

import pytest
import urllib3

from vault.core.errors import ConfigurationError, StoreUnavailableError
from vault.core.secrets import SecretBytes
from vault.objects.s3 import S3Config, S3Store, _body, client

OCTETS = b"0123456789"


def config(endpoint: str = "store.example:9000") -> S3Config:
    return S3Config(
        endpoint=endpoint,
        access_key=SecretBytes(b"an-access-key"),
        secret_key=SecretBytes(b"a-very-secret-key"),
    )


def answer(status: int, octets: bytes, **headers: str) -> urllib3.HTTPResponse:
    return urllib3.HTTPResponse(
        body=io.BytesIO(octets),
        status=status,
        headers={name.replace("_", "-"): value for name, value in headers.items()},
        preload_content=False,
    )


def read(response: urllib3.HTTPResponse, skip: int, count: int | None) -> bytes:
    return b"".join(_body(response, skip=skip, count=count))


def test_nothing_that_is_printed_shows_a_secret() -> None:
    shown = repr(config()) + repr(S3Store(client(config()), "vault"))

    assert "secret-key" not in shown
    assert "an-access-key" not in shown


@pytest.mark.parametrize("endpoint", ["", "store.example/path", "store:port"])
def test_what_is_no_endpoint_is_a_configuration_error(endpoint: str) -> None:
    with pytest.raises(ConfigurationError):
        client(config(endpoint))


def test_the_span_is_cut_out_of_an_answer_that_ignored_the_range() -> None:
    whole = answer(200, OCTETS, Content_Length="10")

    assert read(whole, skip=3, count=4) == b"3456"


def test_an_answer_to_a_range_is_taken_as_it_is_and_not_further() -> None:
    part = answer(206, b"3456789", Content_Length="7")

    assert read(part, skip=3, count=4) == b"3456"


def test_an_answer_without_a_length_is_not_believed() -> None:
    """A connection that was cut would look like the end of the object."""
    with pytest.raises(StoreUnavailableError):
        read(answer(200, OCTETS), skip=0, count=None)


def test_content_encodings_are_not_undone() -> None:
    """A store that claims compression could make us unpack a bomb."""
    claimed = answer(200, OCTETS, Content_Length="10", Content_Encoding="gzip")

    assert OCTETS == read(claimed, skip=0, count=None)
