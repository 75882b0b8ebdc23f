"""Makes receivers of the settings. Each kind is loaded only where one is configured."""

from __future__ import annotations

from stentor.config import ReportTarget
from stentor.reporting.receiver import Receiver


def open_receiver(name: str, settings: ReportTarget) -> Receiver:
    """The target of these settings. Nothing is read or connected yet."""
    if settings.webhook is not None:
        from stentor.reporting.webhook_receiver import WebhookReceiver  # noqa: PLC0415 - few have one

        return WebhookReceiver(name, settings, settings.webhook)
    from stentor.reporting.apprise_receiver import AppriseReceiver  # noqa: PLC0415 - few have one

    return AppriseReceiver(name, settings)
