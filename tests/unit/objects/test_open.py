import stat
from pathlib import Path

import pytest

from vault.core.errors import ConfigurationError
from vault.core.secrets import SecretBytes
from vault.objects.directory import DirectoryStore
from vault.objects.open import open_stores
from vault.objects.s3 import S3Store

ACCESS = SecretBytes(b"access-key-id")
SECRET = SecretBytes(b"very-secret-key")


def s3(url: str) -> object:
    return open_stores(url, access_key=ACCESS, secret_key=SECRET)


def test_a_folder_holds_three_private_stores(tmp_path: Path) -> None:
    stores = open_stores(f"file:{tmp_path}/a%20folder")

    assert isinstance(stores.media, DirectoryStore)
    for name in ("media", "envelopes", "trail"):
        mode = (tmp_path / "a folder" / name).stat().st_mode
        assert stat.S_IMODE(mode) == 0o700


def test_three_slashes_are_a_path_too(tmp_path: Path) -> None:
    open_stores(f"file://{tmp_path}")

    assert (tmp_path / "media").is_dir()


def test_buckets_are_opened_without_asking_the_server() -> None:
    stores = open_stores(
        "s3://store.example:9000/vault?region=eu-1&secure=false",
        access_key=ACCESS,
        secret_key=SECRET,
    )

    assert isinstance(stores.media, S3Store)
    assert repr(stores.media) == "S3Store('vault')"
    assert repr(stores.envelopes) == "S3Store('vault-envelopes')"
    assert repr(stores.trail) == "S3Store('vault-trail')"


def test_no_repr_shows_a_credential() -> None:
    shown = repr(s3("s3://store.example/vault"))

    assert "secret" not in shown
    assert "access-key" not in shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/var/lib/vault",
        "http://store.example/vault",
        "file:relative",
        "file://host/path",
        "file:/path?x=1",
        "s3://store.example",
        "s3://store.example/",
        "s3://store.example/a/b",
        "s3://store.example/UPPER",
        "s3:///vault",
        "s3://key:secret@store.example/vault",
        "s3://store.example/vault?region=eu&tls=no",
        "s3://store.example/vault?secure=maybe",
        "s3://store.example/vault#x",
        "s3://store.example:99999999/vault",
        "s3://st ore/vault",
        "s3://[::1/vault",
    ],
)
def test_a_url_that_says_something_else_is_refused(url: str) -> None:
    with pytest.raises(ConfigurationError):
        s3(url)


def test_a_bucket_without_credentials_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="access key"):
        open_stores("s3://store.example/vault")
