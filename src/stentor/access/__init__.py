"""Who may do what: API keys, users, sessions, sign-in, and the log of who did what.

Rules: a secret is shown once and only its hash is kept; whatever changes access is written in one transaction with its
row in the log; nothing here knows HTTP. `runtime/access_control.py` puts it together as `Stentor.access`.
"""
