"""Measurements that users can repeat on their own machine: `stentor bench …`.

Rules: whatever is compared is measured in one run, one after the other, and reported as a ratio; nothing here asserts.
"""
