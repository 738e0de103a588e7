"""A phone made of pjsua2: calls, speaks, holds, presses digits, and hangs up.

A program of its own, for an interpreter that has pjsua2 and nothing of ours:
``pjsua2_phone.py TRANSPORT ENDPOINT NAME WAV STEP…``, the password on standard input.
"""

import os
import sys
import time
import traceback
from collections.abc import Callable

import pjsua2 as pj

HERE = "127.0.0.3"
"Not baresip's address: from that one nothing but MD5 is asked for."
WITHIN_S = 20.0
TRANSPORTS = {
    "udp": pj.PJSIP_TRANSPORT_UDP,
    "tcp": pj.PJSIP_TRANSPORT_TCP,
    "tls": pj.PJSIP_TRANSPORT_TLS,
}
SUITE = "AES_256_CM_HMAC_SHA1_80"


class Phone:
    """The library, one account and its call."""

    def __init__(self, transport: str, endpoint: str, name: str, wav: str) -> None:
        password = sys.stdin.readline().strip()
        self.library = pj.Endpoint()
        self.library.libCreate()
        config = pj.EpConfig()
        config.logConfig.level = config.logConfig.consoleLevel = 4
        config.uaConfig.threadCnt = 0
        config.uaConfig.mainThreadOnly = True
        # The rate of the file, so that nothing is resampled, and silence is sent, too.
        config.medConfig.clockRate = config.medConfig.sndClockRate = 8000
        config.medConfig.noVad = True
        self.library.libInit(config)
        at = pj.TransportConfig()
        at.boundAddress = HERE
        self.library.transportCreate(TRANSPORTS[transport], at)
        self.library.libStart()
        self.library.audDevManager().setNullDev()
        for codec in self.library.codecEnum2():
            heard = codec.codecId.startswith("PCMU")
            self.library.codecSetPriority(codec.codecId, 255 if heard else 0)
        self.player = pj.AudioMediaPlayer()
        self.player.createPlayer(wav)
        account = pj.AccountConfig()
        account.idUri = f"sip:{name}@{endpoint}"
        account.sipConfig.authCreds.append(
            pj.AuthCredInfo("digest", "*", name, 0, password)
        )
        account.mediaConfig.srtpUse = pj.PJMEDIA_SRTP_MANDATORY
        account.mediaConfig.srtpSecureSignaling = 0
        crypto = pj.SrtpCrypto()
        crypto.name = SUITE
        account.mediaConfig.srtpOpt.cryptos.append(crypto)
        account.mediaConfig.transportConfig.boundAddress = HERE
        # c=0.0.0.0 and a=inactive; by its default a hold is still sendonly.
        account.callConfig.holdType = pj.PJSUA_CALL_HOLD_TYPE_RFC2543
        self.account = pj.Account()
        self.account.create(account)
        self.call = Call(self.account, self.player)
        uri = f"sip:srs@{endpoint};transport={transport}"
        self.call.makeCall(uri, pj.CallOpParam(True))
        self.until(lambda: self.call.talks, "the call is answered")

    def until(
        self, true: Callable[[], object], what: str, within_s: float = WITHIN_S
    ) -> None:
        deadline_s = time.monotonic() + within_s
        while not true():
            if time.monotonic() > deadline_s:
                raise SystemExit(f"not within {within_s} s: {what}")
            self.library.libHandleEvents(10)

    def wait(self, seconds: float) -> None:
        end_s = time.monotonic() + seconds
        while time.monotonic() < end_s:
            self.library.libHandleEvents(10)

    def do(self, step: str) -> None:
        what, _, value = step.partition(":")
        if what == "digits":
            self.call.dialDtmf(value)
            # Each lasts 160 ms here, and they follow one another.
            self.wait(0.5 + 0.4 * len(value))
        elif what == "hold":
            self.call.setHold(pj.CallOpParam(True))
            self.until(lambda: not self.call.talks, "it holds")
            self.wait(float(value))
            again = pj.CallOpParam(True)
            again.opt.flag = pj.PJSUA_CALL_UNHOLD
            self.call.reinvite(again)
            self.until(lambda: self.call.talks, "it is off hold")
        else:
            self.wait(float(value))

    def end(self) -> None:
        self.call.hangup(pj.CallOpParam(True))
        self.until(lambda: self.call.over, "it has hung up")


class Call(pj.Call):
    """One call, and whether its player is heard."""

    def __init__(self, account: pj.Account, player: pj.AudioMediaPlayer) -> None:
        super().__init__(account)
        self.player = player
        self.talks = self.over = False

    def onCallState(self, prm: pj.OnCallStateParam) -> None:  # noqa: N802 - pjsua2's
        # The name keeps what it returns alive: SWIG frees it otherwise.
        info = self.getInfo()
        self.over = info.state == pj.PJSIP_INV_STATE_DISCONNECTED

    def onCallMediaState(self, prm: pj.OnCallMediaStateParam) -> None:  # noqa: N802 - pjsua2's
        info = self.getInfo()
        active = [one.status == pj.PJSUA_CALL_MEDIA_ACTIVE for one in info.media]
        self.talks = any(active)
        if self.talks:
            self.player.startTransmit(self.getAudioMedia(active.index(True)))


def main() -> None:
    transport, endpoint, name, wav, *steps = sys.argv[1:]
    status = 1
    try:
        phone = Phone(transport, endpoint, name, wav)
        for step in steps:
            phone.do(step)
        phone.end()
        status = 0
    except BaseException:  # noqa: BLE001 - the program ends here
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        # Its destructors abort in an interpreter that ends.
        os._exit(status)


if __name__ == "__main__":
    main()
