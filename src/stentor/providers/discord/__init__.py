"""Discord: messages of a bot to channels and users, and webhooks."""
