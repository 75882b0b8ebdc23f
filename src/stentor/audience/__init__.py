"""Who gets a campaign: installations, read a page at a time in the order of their keys."""
