"""Contract suites and fixtures, for Stentor's own tests and for backends that others write."""
