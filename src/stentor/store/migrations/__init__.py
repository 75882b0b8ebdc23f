"""How the schema came to be, one revision a file; run by `store.migrate`."""
