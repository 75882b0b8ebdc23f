"""The providers: batches of recipients and a message in, an answer about each recipient out.

Read `contract.py` first, then a provider's folder: `payload.py` (the message in the provider's words, checked),
`wire.py` (requests out, answers in; pure), `reasons.py` (what each answer asks for), `credentials.py`. Rules: nothing
here knows of a queue, a store or a lease; nothing here sleeps, retries or decides what becomes of a recipient.
"""
