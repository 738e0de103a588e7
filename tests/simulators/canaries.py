"""A number, a name and a password that may be nowhere on the trail."""

NUMBER, NAME, PASSWORD = "+4917655544433", "Kanarius", "Hunter2-Kanarienvogel-1"
CANARIES = (NUMBER, NAME, PASSWORD)
_SIGNS = (b"17655544433", b"kanari", b"hunter2")


def signs_in(octets: bytes) -> list[bytes]:
    """Return what of them *octets* hold, in whatever case."""
    return [sign for sign in _SIGNS if sign in octets.lower()]
