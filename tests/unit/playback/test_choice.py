import pytest

from vault.catalog.values import StoredObject
from vault.core.errors import NoMediaError, NotReadyError
from vault.core.flow import MediaPart
from vault.playback.choice import chosen


def stored(name: str, media_type: str = "application/octet-stream") -> StoredObject:
    return StoredObject(name=name, size=1, sha256="0" * 64, media_type=media_type)


FLAC = stored("rendition/0001", "audio/flac")
M4A = stored("rendition/0002", "audio/mp4")
SCREEN = stored("rendition/0003", "video/mp4")
PARTS = (
    stored("capture/0001"),
    stored("capture/0002.recovered"),
    stored("capture/0003"),
)
ALL = (*PARTS, stored("peaks/0001", "application/json"), FLAC, M4A, SCREEN)


@pytest.mark.parametrize(
    ("part", "media_type", "expected"),
    [
        (MediaPart.AUDIO, None, (FLAC,)),
        (MediaPart.AUDIO, "audio/mp4", (M4A,)),
        (MediaPart.SCREEN, None, (SCREEN,)),
        (MediaPart.CAPTURE, None, PARTS),
    ],
)
def test_a_part_is_these_objects(
    part: MediaPart, media_type: str | None, expected: tuple[StoredObject, ...]
) -> None:
    assert expected == chosen(part, ALL, media_type)


def test_without_flac_another_format_stands_in() -> None:
    assert chosen(MediaPart.AUDIO, (M4A, SCREEN), None) == (M4A,)


def test_a_cut_part_is_never_played() -> None:
    with pytest.raises(NoMediaError):
        chosen(MediaPart.CAPTURE, (stored("capture/0001.cut"),), None)


def test_a_format_that_is_missing_may_still_come() -> None:
    with pytest.raises(NotReadyError):
        chosen(MediaPart.AUDIO, (FLAC,), "audio/mp4")


@pytest.mark.parametrize("media_type", [None, "audio/mp4"])
def test_a_recording_without_any_rendition_has_no_media(media_type: str | None) -> None:
    with pytest.raises(NoMediaError):
        chosen(MediaPart.AUDIO, PARTS, media_type)
