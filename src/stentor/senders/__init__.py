"""The sending: batches of recipients and a message in, an answer about each recipient out.

Read `contract.py` first, then a provider's folder: `payload.py` (the message in the provider's words, checked),
`wire.py` (requests out, answers in; pure), `reasons.py` (what each answer asks for), `credentials.py`.
"""
