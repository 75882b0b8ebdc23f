"""The providers, faithful, with faults on request: what a campaign is rehearsed and tested against.

Read in this order: `server_connection.py` (HTTP/2 without I/O), `peer.py` (one client's connection), `simulator.py`
(listening, starting, stopping), then `apns/` and `fcm/` (what the provider would say). `faults.py` is the menu of what
can be made to go wrong, `ledger.py` the account of what was accepted. Strict mode checks everything; nothing in here
is used when sending to a real provider.
"""
