"""Webhooks: messages posted to a gateway of one's own, or to recipients' own addresses, with a signed body."""
