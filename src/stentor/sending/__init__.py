"""The sending: takes batches from the queue, sends them through a lane, and settles what became of each recipient.

Read `sender.py` first, then `courier.py`, the way of one batch.
"""
