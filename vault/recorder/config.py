"""What the recorder must be told; nothing here is secret."""

import re
from dataclasses import dataclass
from typing import Final

_NAME: Final = re.compile(r"[a-z0-9][a-z0-9.-]{0,62}")


@dataclass(frozen=True, slots=True, kw_only=True)
class RecorderConfig:
    """Settings of the desk that takes orders."""

    tap_name: str = "tap"
    "Under which the roster has this tap's key; `source` of its late leaves."

    media_listen: str = "127.0.0.1"
    "Address of the media sockets."

    media_advertise: str = ""
    "Address for ``c=``; empty means *media_listen*, or what routes to the peer."

    idle_timeout_s: float = 1800.0
    "A session that received no packet for this long is ended as ``timeout``."

    max_duration_s: float = 24 * 3600.0
    "No session lasts longer: its device forgot it."

    silence_alarm_s: float = 10.0
    "A call without an authentic packet for this long is an alarm; 0: never."

    one_way_alarm_s: float = 30.0
    "A party that is not heard for this long while another one is; 0: never."

    pause_max_s: float = 900.0
    "A pause ends after this long at the latest; 0: never by itself."

    keep_dtmf_digits: bool = False
    "Whether RFC 4733 packets go into captures."

    handshake_s: float = 30.0
    "A DTLS-SRTP stream whose peer has not come by then stays without keys."

    watch_interval_s: float = 2.0
    "How often running sessions are looked at."

    clock_tolerance_s: float = 300.0
    "How far the clock may be behind what has been written, or be set back."

    remembered: int = 10_000
    "Ended sessions whose counters are kept in memory."

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.tap_name):
            raise ValueError("a tap's name is lower-case letters, digits, dots, dashes")
