"""The worker as a process: captures become playable media until SIGTERM."""

from collections.abc import Mapping

from vault.catalog.recordings import Recordings
from vault.recorder.keys import load_manifest_key
from vault.renditions.config import WorkerConfig
from vault.renditions.deposit import AddendumKey
from vault.renditions.worker import RenderWorker
from vault.serving import logs
from vault.serving.children import say_ready
from vault.serving.domains import enter_domain
from vault.serving.lives import written_down
from vault.serving.stopping import StopRequest
from vault.wiring import WORKER_NAME, Installation


def serve_worker(
    installation: Installation, *, door_fd: int | None, ready_fd: int | None
) -> None:
    """Be a worker until SIGTERM; the call being rendered is finished first.

    Raises:
        ConfigurationError: No installation, or no signing key.
    """
    installation.require("worker/addendum.key", "keys/roster.json", "keys/roster.pub")
    signing = load_manifest_key(
        installation.folder / "worker" / "addendum.key", name=WORKER_NAME
    )

    def tap_keys() -> Mapping[str, bytes]:
        # Read again each time: a tap may have been enrolled since.
        return installation.roster().tap_keys()

    # Opened before the process gives up what it does not need.
    engine, store = installation.catalog, installation.stores.media
    logs.say_gaps(enter_domain("worker", installation))
    with installation.warden_client(door_fd) as warden:
        worker = RenderWorker(
            catalog=Recordings(engine),
            store=store,
            keys=warden,
            rows=warden,
            trail=warden,
            signer=AddendumKey(name=WORKER_NAME, private=signing.private),
            tap_keys=tap_keys,
            config=WorkerConfig(
                name=WORKER_NAME,
                mute_tones=installation.settings.mute_dtmf_tones,
            ),
        )
        stop = StopRequest()
        with written_down(warden, "worker", installation.settings):
            say_ready(ready_fd)
            worker.run_forever(stop)
