"""``audit witness``: cosign what other people's logs publish, far from them."""

from pathlib import Path
from typing import Annotated, Final

import typer

from vault import confine, process
from vault.audit.checkpoint import Verifier
from vault.commands.output import failures
from vault.core.endpoints import Endpoint, prefixes
from vault.core.errors import ConfigurationError
from vault.serving import logs

_LISTEN: Final = "127.0.0.1:8084"


def witness(
    data_dir: Annotated[
        Path, typer.Option(help="Folder of the witness: its key, and what it saw.")
    ],
    name: Annotated[
        str, typer.Option(help="What it is called, at the first start: HOST/NAME.")
    ] = "",
    log: Annotated[
        list[str] | None, typer.Option(help="Verifier key of a log to follow; repeat.")
    ] = None,
    logs_file: Annotated[
        Path | None, typer.Option(help="File with verifier keys, one a line.")
    ] = None,
    listen: Annotated[str, typer.Option(help="ADDRESS:PORT.")] = _LISTEN,
    tls_cert: Annotated[
        Path | None, typer.Option(help="PEM file, the chain after it.")
    ] = None,
    tls_key: Annotated[Path | None, typer.Option(help="PEM file.")] = None,
    trusted_proxy: Annotated[
        list[str] | None,
        typer.Option(help="Prefix of a proxy that speaks TLS; repeat."),
    ] = None,
    *,
    show_key: Annotated[
        bool, typer.Option("--show-key", help="Print the verifier key, and end.")
    ] = False,
) -> None:
    """Cosign checkpoints of logs that only grow; needs no installation."""
    confine.keep_one_thread()
    with process.loading():
        from vault.serving import witness as serving  # noqa: PLC0415 - no other command needs an HTTP server
    with failures():
        if show_key:
            typer.echo(str(serving.witness_key(data_dir, name).cosigner))
            return
        logs.configure("witness")
        named = [*(log or ()), *(serving.logs_in(logs_file) if logs_file else ())]
        config = serving.WitnessConfig(
            folder=data_dir,
            name=name,
            logs=tuple(map(Verifier.parse, named)),
            listen=_endpoint(listen),
            tls_cert=tls_cert,
            tls_key=tls_key,
            trusted_proxies=_prefixes(trusted_proxy or []),
        )
        key = str(serving.witness_key(data_dir, name).cosigner)
        serving.serve_witness(config, started=lambda: typer.echo(key))


def _endpoint(text: str) -> Endpoint:
    try:
        return Endpoint(text)
    except ValueError as exc:
        raise ConfigurationError(f"--listen: {exc}") from None


def _prefixes(texts: list[str]) -> tuple[str, ...]:
    try:
        return prefixes(texts)
    except ValueError as exc:
        raise ConfigurationError(f"--trusted-proxy: {exc}") from None
