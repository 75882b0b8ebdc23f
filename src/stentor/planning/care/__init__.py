"""Whom a campaign leaves alone: who said no, who is on a list, who had it already, who had enough."""
