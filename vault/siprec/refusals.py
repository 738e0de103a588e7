"""Why a request of a peer was refused, and the response that says so."""

from enum import StrEnum, unique

from vault.sip.messages import Response


@unique
class Cause(StrEnum):
    """A slug for counters and logs.  Kept in alphabetical order."""

    ADDRESS = "address"
    "The settings do not let anybody speak from there."
    ANSWER_MALFORMED = "answer-malformed"
    "An answer to a challenge that is none."
    ANSWER_WRONG = "answer-wrong"
    "A wrong secret, or nobody's."
    CERTIFICATE = "certificate"
    "The device has pinned a certificate, and it was not shown."
    CHALLENGED = "challenged"
    "Who it is was asked for: the first request of every call by digest."
    CLEAR_SIGNALLING = "clear-signalling"
    "The device may not send its keys readable."
    DEVICE_ADDRESS = "device-address"
    "The device may not speak from there."
    DEVICE_RATE = "device-rate"
    "The device sends more than it may."
    GUESSING = "guessing"
    "Too many wrong answers came from there: none is looked at for a while."
    OTHER_DEVICE = "other-device"
    "The dialog is somebody else's."
    OTHER_URI = "other-uri"
    "A right answer, maybe, but for another URI: a proxy has rewritten the request."
    REPLAYED = "replayed"
    "A right answer that had counted before."
    STALE = "stale"
    "A right answer to a challenge of long ago."

    @property
    def is_everyday(self) -> bool:
        """Whether it happens to sound devices all day: counted, never logged."""
        return self in {Cause.CHALLENGED, Cause.STALE}


class Refused(Exception):  # noqa: N818 - an answer to the peer, not a fault of ours
    """A request is not looked at further; *response* goes back."""

    def __init__(self, response: Response, *, cause: Cause) -> None:
        super().__init__(str(cause))
        self.response = response
        self.cause = cause
