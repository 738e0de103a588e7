"""What a worker must be told; nothing here is secret."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkerConfig:
    """How one render worker behaves."""

    name: str = "worker"
    "Who holds its leases: no two workers may share it."

    lease_s: float = 60.0
    """How long a recording stays with a worker that died.  A living one renews
    after a third of it."""

    idle_s: float = 0.5
    "Pause before looking for work again when there was none."

    mute_tones: bool = False
    "Whether DTMF tones are silent in renditions and peaks; captures keep them."

    backoff_max_s: float = 15.0
    "Longest pause between attempts while warden, store or database are down."
