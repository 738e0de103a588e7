"""What is set for this installation, as administrators read it on the policies page.

Guarantees: a value that is a secret, or leads to one, has no place here.

Left to others: choosing and spelling them (`vault.serving.in_force`), changing them
(whoever runs the installation, in its configuration).
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class SettingInForce:
    """One setting and its value."""

    name: str
    "As in the configuration."
    meaning: str
    value: str
    "In words, unit included."
