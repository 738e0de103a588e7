"""A negative control: what a dead process left is not looked at."""

from vault.recorder import recovery

recovery.recover = lambda *_, **__: []
