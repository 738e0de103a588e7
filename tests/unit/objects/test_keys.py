import pytest

from vault.core.errors import InvalidInputError
from vault.core.ids import RecordingId
from vault.objects.keys import ObjectKey

RECORDING = RecordingId("12345678-9abc-4def-8123-456789abcdef")


@pytest.mark.parametrize("name", ["capture/0001", "capture/0001.cut", "manifest"])
def test_a_key_is_recording_and_name(name: str) -> None:
    assert f"{RECORDING}/{name}" == str(ObjectKey.of(RECORDING, name))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/etc/passwd",
        "a//b",
        "a/",
        "a/../b",
        "..",
        ".incoming/x",
        "a/.b",
        "a\\b",
        "A/b",
        "a b",
        "a\0b",
        "a\n",
        "ü",
        "a" * 201,
        "a/b/c/d/e/f/g/h/i/j/k/l/m/n/o/p/q",
    ],
)
def test_what_could_leave_its_folder_is_no_key(text: str) -> None:
    with pytest.raises(InvalidInputError):
        ObjectKey(text)
