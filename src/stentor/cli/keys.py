"""`stentor keys`: keys that Stentor makes itself."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from stentor.errors import InvalidConfiguration
from stentor.providers.webpush.encryption import public_bytes
from stentor.providers.webpush.vapid import base64url, generate_key, private_pem

FILE = Path("vapid.pem")

app = typer.Typer(help="Make a provider's keys. `stentor key` makes those of the API.", no_args_is_help=True)


@app.callback()
def keys() -> None:
    """Make a provider's keys. `stentor key` makes those of the API."""


@app.command()
def vapid(
    out: Annotated[
        Path, typer.Option(help="The file for the private key. An existing file is never overwritten.")
    ] = FILE,
) -> None:
    """Make the key that a web app needs for Web Push subscriptions, and print its public part.

    Your web page passes the public part to `pushManager.subscribe` as `applicationServerKey`. Keep the file: each
    subscription is bound to the key it was made with, and cannot be reached with another key.

    \b
    Examples:
      stentor keys vapid --out vapid.pem
    """
    key = generate_key()
    try:
        with os.fdopen(os.open(out, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as opened:
            opened.write(private_pem(key))
    except FileExistsError:
        raise InvalidConfiguration(
            f"{out} is there already; subscriptions may be bound to it, so name another file with --out"
        ) from None
    except OSError as error:
        raise InvalidConfiguration(f"{out} cannot be written: {error.strerror}") from None
    typer.echo(f"Wrote {out}, for `private_key_file`.", err=True)
    typer.echo(base64url(public_bytes(key.public_key())))
