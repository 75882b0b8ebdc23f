"""ntfy as a channel of Stentor's. Read channel.py first, then wire.py, then lane.py, which joins the two."""
