"""What became of everybody: outcomes written down before the queue forgets a batch, and read back as reports."""
