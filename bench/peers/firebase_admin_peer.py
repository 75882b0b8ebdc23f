"""firebase-admin's async client, as its documentation says for many messages: `send_each_async`, 500 a call.

Its endpoint is pointed at the simulator. The credential is an access token that is there already, so that no token
endpoint is measured.
"""

from __future__ import annotations

import os
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import firebase_admin
from firebase_admin import credentials, exceptions, messaging
from google.oauth2.credentials import Credentials

from bench.peers.measure import DEVICES, PROJECT, TEXT, TITLE, Peer, Send, Target, fcm_tokens, main

MOST_AT_ONCE = 500


class AccessToken(credentials.Base):  # type: ignore[misc]  # firebase-admin has no annotations
    def get_credential(self) -> Any:
        return Credentials(token="x" * 210)  # type: ignore[no-untyped-call]


@asynccontextmanager
async def opened(target: Target) -> AsyncIterator[Send]:
    warnings.filterwarnings("ignore", "Message.token is deprecated", DeprecationWarning)
    os.environ["SSL_CERT_FILE"] = str(target.ca_file)  # httpx reads it; firebase-admin has no option for it
    messaging._MessagingService.FCM_URL = f"{target.url}/v1/projects/{{0}}/messages:send"
    firebase_admin.initialize_app(AccessToken(), {"projectId": PROJECT})
    notification = messaging.Notification(title=TITLE, body=TEXT)
    tokens = fcm_tokens()

    async def send(serial: int) -> None:
        start = serial % DEVICES
        messages = [
            messaging.Message(notification=notification, token=token) for token in tokens[start : start + MOST_AT_ONCE]
        ]
        batch = await messaging.send_each_async(messages)
        target.accepted += batch.success_count
        if batch.failure_count:
            target.fail(batch.failure_count, next(r.exception for r in batch.responses if not r.success))

    yield send


if __name__ == "__main__":
    main(Peer(opened, failures=(exceptions.FirebaseError,), unit=MOST_AT_ONCE))
