"""The dashboard: pages for people, made by the server. It holds no rules: what a page does, `Stentor` does."""
