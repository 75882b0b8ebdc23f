"""Telegram: messages of a bot to its chats."""
