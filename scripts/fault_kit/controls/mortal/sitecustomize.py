"""A negative control: media workers end with their supervisor."""

from vault.tap.config import TapConfig

_checked = TapConfig.__post_init__


def _mortal(config):
    object.__setattr__(config, "run_folder", "")
    _checked(config)


TapConfig.__post_init__ = _mortal
