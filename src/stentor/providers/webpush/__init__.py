"""Web Push: browsers, by whatever push service each of them uses. See `docs/webpush.md`."""
