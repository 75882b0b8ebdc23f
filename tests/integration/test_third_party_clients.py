"""Other people's clients work against the strict simulators: proof that these speak what the providers do."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Iterator

import aioapns
import firebase_admin
import pytest
from aioapns.connection import APNsProductionClientProtocol
from firebase_admin import credentials, messaging

from stentor.simulators.apns import ApnsSimulator
from stentor.simulators.faults import Faults, parse_faults
from stentor.simulators.fcm import FcmSimulator

# The client warns that Firebase prefers installation ids to tokens; both are tested here.
pytestmark = pytest.mark.filterwarnings("ignore:Message.token is deprecated:DeprecationWarning")

DEAD: Faults = parse_faults({"devices": {"unregistered": 1.0}})


def address(number: int) -> str:
    return f"{number:064x}"


class TestAioapns:
    def client(self, apns: ApnsSimulator, monkeypatch: pytest.MonkeyPatch) -> aioapns.APNs:
        monkeypatch.setattr(APNsProductionClientProtocol, "APNS_SERVER", "127.0.0.1")
        monkeypatch.setattr(APNsProductionClientProtocol, "APNS_PORT", apns.port)
        return aioapns.APNs(
            key=apns.key_file.read_text(),
            key_id=apns.key_id,
            team_id=apns.team_id,
            topic="com.example.app",
            ssl_context=apns.client_context(),
            max_connections=1,
        )

    def request(self, number: int) -> aioapns.NotificationRequest:
        return aioapns.NotificationRequest(
            device_token=address(number),
            message={"aps": {"alert": "Sale"}},
            notification_id=str(uuid.UUID(int=number)),
            push_type=aioapns.PushType.ALERT,
            collapse_key="campaign-7",
        )

    async def test_pushes_arrive(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with ApnsSimulator() as apns:
            client = self.client(apns, monkeypatch)
            assert (await client.send_notification(self.request(0))).is_successful
            results = await asyncio.gather(*(client.send_notification(self.request(n)) for n in range(1, 200)))
            assert all(result.is_successful for result in results)
            client.pool.close()
        assert sorted(apns.ledger.addresses()) == [address(number) for number in range(200)]
        assert {entry.dedup_id for entry in apns.ledger} == {"campaign-7"}
        assert apns.ledger.answered == 200
        assert apns.violations == []

    async def test_a_dead_token_is_told(self, monkeypatch: pytest.MonkeyPatch) -> None:
        async with ApnsSimulator(faults=DEAD) as apns:
            client = self.client(apns, monkeypatch)
            result = await client.send_notification(self.request(1))
            client.pool.close()
        assert (result.status, result.description) == ("410", "Unregistered")
        assert result.timestamp is not None
        assert result.timestamp < apns.clock() * 1_000
        assert len(apns.ledger) == 0


class TestFirebaseAdmin:
    @pytest.fixture
    def app_name(self) -> Iterator[str]:
        name = f"test-{uuid.uuid4()}"
        yield name
        firebase_admin.delete_app(firebase_admin.get_app(name))

    def app(self, fcm: FcmSimulator, name: str, monkeypatch: pytest.MonkeyPatch) -> firebase_admin.App:
        for variable in ("REQUESTS_CA_BUNDLE", "SSL_CERT_FILE"):  # requests' and httpx' own ways to trust a CA
            monkeypatch.setenv(variable, str(fcm.ca_file))
        monkeypatch.setattr(messaging._MessagingService, "FCM_URL", fcm.url + "/v1/projects/{0}/messages:send")
        return firebase_admin.initialize_app(credentials.Certificate(str(fcm.service_account_file)), name=name)

    def message(self, token: str) -> messaging.Message:
        return messaging.Message(
            token=token,
            notification=messaging.Notification(title="Sale", body="Ends tonight"),
            data={"campaign": "7"},
            android=messaging.AndroidConfig(
                priority="high", ttl=3_600, notification=messaging.AndroidNotification(tag="campaign-7")
            ),
            apns=messaging.APNSConfig(
                headers={"apns-priority": "10"},
                payload=messaging.APNSPayload(aps=messaging.Aps(badge=1, sound="default")),
            ),
            webpush=messaging.WebpushConfig(headers={"TTL": "60"}),
        )

    async def send_each(self, app: firebase_admin.App, messages: list[messaging.Message]) -> messaging.BatchResponse:
        """To be run in a loop of its own: even the async client fetches its token with a blocking call."""
        batch = await messaging.send_each_async(messages, dry_run=False, app=app)
        await messaging._get_messaging_service(app)._async_client.aclose()
        return batch

    async def test_send_over_http_1(self, app_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async with FcmSimulator() as fcm:
            app = self.app(fcm, app_name, monkeypatch)
            name = await asyncio.to_thread(messaging.send, self.message("device-1"), app=app)
            trial = await asyncio.to_thread(messaging.send, self.message("device-2"), dry_run=True, app=app)
            topic = messaging.Message(topic="news", data={"a": "b"})
            await asyncio.to_thread(messaging.send, topic, app=app)
        assert name.startswith(f"projects/{fcm.project}/messages/0:")
        assert trial == f"projects/{fcm.project}/messages/fake_message_id"
        assert [(entry.address, entry.dedup_id) for entry in fcm.ledger] == [("device-1", "campaign-7"), ("news", "")]
        assert fcm.fcm.tokens.grants == 1

    async def test_send_each_over_http_2(self, app_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async with FcmSimulator() as fcm:
            app = self.app(fcm, app_name, monkeypatch)
            messages = [self.message(f"device-{number}") for number in range(150)]
            batch = await asyncio.to_thread(asyncio.run, self.send_each(app, messages))
        assert batch.success_count == 150
        assert sorted(fcm.ledger.addresses()) == sorted(f"device-{number}" for number in range(150))
        assert fcm.violations == []

    async def test_a_dead_token_is_told(self, app_name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        async with FcmSimulator(faults=DEAD) as fcm:
            app = self.app(fcm, app_name, monkeypatch)
            with pytest.raises(messaging.UnregisteredError):
                await asyncio.to_thread(messaging.send, self.message("gone"), app=app)
            batch = await asyncio.to_thread(asyncio.run, self.send_each(app, [self.message("gone")]))
        assert isinstance(batch.responses[0].exception, messaging.UnregisteredError)
        assert len(fcm.ledger) == 0

    async def test_the_other_refusals_have_their_own_exceptions(
        self, app_name: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        async with FcmSimulator() as fcm:
            app = self.app(fcm, app_name, monkeypatch)
            for share, error in (
                ("wrong_app", messaging.SenderIdMismatchError),
                ("throttled", messaging.QuotaExceededError),
                ("third_party_auth", messaging.ThirdPartyAuthError),
                ("malformed", firebase_admin.exceptions.InvalidArgumentError),
            ):
                fcm.faults = parse_faults({"devices": {share: 1.0}})
                with pytest.raises(error):
                    await asyncio.to_thread(messaging.send, self.message("device"), app=app)
