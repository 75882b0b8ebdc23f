"""Apple Push Notification service. What can be set, what is checked and what each answer leads to: `docs/apns.md`."""
