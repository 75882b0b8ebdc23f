"""Firebase Cloud Messaging, HTTP v1. What can be set, what is checked and what each answer leads to: `docs/fcm.md`."""
