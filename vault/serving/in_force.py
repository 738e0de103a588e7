"""Settings about who comes in and how, put into words for the page of policies.

Guarantees: what is named here is no secret and no path.

Spec: docs/reference/configuration.md
"""

from collections.abc import Iterable
from typing import Final

from vault.access.permissions import DualControl
from vault.config import Settings
from vault.web.in_force import SettingInForce

_MINUTE_S: Final = 60
_HOUR_S: Final = 3600
_DAY_S: Final = 86_400
_UNITS: Final = (
    *((_DAY_S, "day"), (_HOUR_S, "hour")),
    *((_MINUTE_S, "minute"), (1, "second")),
)
_DUAL: Final = {
    DualControl.SELF: "for what opens calls to whoever asks",
    DualControl.ALWAYS: "for what opens calls to anybody",
}


def settings_in_force(settings: Settings) -> tuple[SettingInForce, ...]:
    """Return what administrators should know of *settings*."""
    sources = [one for one in settings.sign_in_order if _is_asked(settings, one)]
    told = (
        ("sign_in_order", "Who is asked for a password", _listed(sources)),
        ("oidc_issuer", "OpenID provider", settings.oidc_issuer or "none"),
        (
            "second_factor_roles",
            "Roles that need a second factor",
            _listed(map(str, settings.second_factor_roles)) or "none",
        ),
        ("sign_in_idle_s", "A session locks after", duration(settings.sign_in_idle_s)),
        ("sign_in_max_s", "A session ends after", duration(settings.sign_in_max_s)),
        ("step_up_s", "A proof is fresh for", duration(settings.step_up_s)),
        (
            "sign_in_max_idle_days",
            "Unused accounts are shut after",
            _days(settings.sign_in_max_idle_days),
        ),
        *_of_duties(settings),
        *_of_passwords(settings),
    )
    return tuple(
        SettingInForce(name=name, meaning=meaning, value=value)
        for name, meaning, value in told
    )


def _of_duties(settings: Settings) -> tuple[tuple[str, str, str], ...]:
    return (
        ("dual_control", "A second person agrees", _DUAL[settings.dual_control]),
        (
            "approval_pending_s",
            "A request waits for",
            duration(settings.approval_pending_s),
        ),
        (
            "approval_use_s",
            "What was approved plays for",
            duration(settings.approval_use_s),
        ),
        ("emergency_s", "A broken glass stays so for", duration(settings.emergency_s)),
    )


def _of_passwords(settings: Settings) -> tuple[tuple[str, str, str], ...]:
    score, history = settings.password_min_score, settings.password_history
    return (
        (
            "password_min_score",
            "A new password scores",
            f"{score} of 4 or more" if score else "anything",
        ),
        (
            "password_history",
            "Earlier passwords that are refused",
            str(history) if history else "none",
        ),
        (
            "password_breach_list",
            "Breached passwords are refused",
            "yes" if settings.password_breach_list else "no list is set",
        ),
        (
            "password_max_age_days",
            "A password is changed after",
            _days(settings.password_max_age_days),
        ),
    )


def _is_asked(settings: Settings, source: str) -> bool:
    return source != "ldap" or bool(settings.ldap_url)


def duration(seconds: float) -> str:
    """Return 5400 as ``1 hour 30 minutes``."""
    left, found = int(seconds), []
    for size, word in _UNITS:
        count, left = divmod(left, size)
        if count:
            found.append(f"{count} {word}" + "s" * (count > 1))
    return " ".join(found) or "0 seconds"


def _days(days: int) -> str:
    return duration(days * _DAY_S) if days else "never"


def _listed(words: Iterable[str]) -> str:
    return ", ".join(words)
