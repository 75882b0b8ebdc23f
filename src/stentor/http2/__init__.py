"""The wire: an HTTP/2 client made for bursts of small, nearly identical POSTs.

Read in this order: `burst.py` (what is asked and answered), `connection.py` (the protocol, no I/O) with `encode.py`,
`hpack.py` and `frames.py` below it, then `transport.py` (a socket) and `pool.py` (many) with `policy.py`.
"""
