"""Passwords as they come to a command: typed at the terminal, or on standard input.

Guarantees: never taken as arguments, where others would see them, and shown nowhere.
"""

import sys
from typing import Annotated, TypeAlias

import typer

from vault.core.errors import InvalidInputError

PasswordStdin: TypeAlias = Annotated[
    bool,
    typer.Option(
        "--password-stdin", help="Read the password from standard input, one line."
    ),
]


def asked_password(*, from_stdin: bool, twice: bool = False) -> str:
    """Return the password, typed *twice* where it is new.

    Raises:
        InvalidInputError: There is no terminal to ask at.
    """
    if from_stdin:
        return sys.stdin.readline().removesuffix("\n").removesuffix("\r")
    if not sys.stdin.isatty():
        raise InvalidInputError("no terminal to ask at: use --password-stdin")
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=twice))
