"""When and what: an audience becomes batches, by a chain of small queued steps."""
