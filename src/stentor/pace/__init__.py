"""How fast: what a lane and a campaign may send over all machines, and who is on record before being sent to."""
