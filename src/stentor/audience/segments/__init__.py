"""Segments: a condition over installations, as one expression tree.

`text` and `written` read and write it as people do, `mongo` as JSON in the words of MongoDB and Parse, and `onesignal`
imports what OneSignal calls filters. `sql` compiles it, and `evaluate` is what all of them mean, in plain Python.
"""
