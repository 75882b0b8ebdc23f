"""`python -m stentor.cli`: the `stentor` command, for where its script isn't on the path."""

from stentor.cli.main import app

app()
