from pathlib import Path

import pytest

from vault.core.errors import NotFoundError
from vault.objects.directory import DirectoryStore
from vault.objects.keys import ObjectKey
from vault.objects.source import StoreSource

KEY = ObjectKey("a/b")


def test_it_keeps_the_size_that_it_saw_first(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.replace(KEY, b"0123456789")
    source = StoreSource(store, KEY)

    store.replace(KEY, b"012")

    assert source.size == 10
    assert source.read(0, 10) == b"012"
    assert source.read(5, 5) == b""


def test_a_missing_object_is_not_found(tmp_path: Path) -> None:
    with pytest.raises(NotFoundError):
        StoreSource(DirectoryStore(tmp_path), KEY)
