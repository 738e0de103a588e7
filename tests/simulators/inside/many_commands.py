"""Many commands in one interpreter, each in a child of its own: imports cost once.

Standard input: a JSON list of ``[words, stdin]``; output: a JSON list of exit codes.
What the commands print goes to standard error.
"""

import contextlib
import json
import os
import sys
import tempfile
from typing import Any

from vault import cli


def leaves(group: Any, path: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """Return the required parameters of every command, by its words."""
    found: dict[str, list[str]] = {}
    context = cli.click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        words = (*path, name)
        if hasattr(command, "list_commands"):
            found |= leaves(command, words)
        else:
            found[" ".join(words)] = [
                one.opts[0] for one in command.params if one.required
            ]
    return found


def main() -> None:
    """Run what standard input says; without input, print `leaves`."""
    from typer.main import get_command  # noqa: PLC0415

    tree = leaves(get_command(cli.app))
    given = sys.stdin.read()
    if not given:
        json.dump(tree, sys.stdout)
        return
    results = []
    for words, text in json.loads(given):
        child = os.fork()
        if not child:
            _become(words, text)
        results.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    json.dump(results, sys.stdout)


def _become(words: list[str], text: str) -> None:
    with tempfile.TemporaryFile() as said:
        said.write(text.encode())
        said.seek(0)
        os.dup2(said.fileno(), 0)
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    os.dup2(2, 1)
    sys.argv = ["callvault", *words]
    code: object = 1
    with contextlib.suppress(Exception):
        try:
            cli.app()
            code = 0
        except SystemExit as ended:
            code = ended.code
    sys.stdout.flush()
    os._exit(code if isinstance(code, int) else int(code is not None))


if __name__ == "__main__":
    main()
