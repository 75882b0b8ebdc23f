// Sends a message to each of `tokens` with firebase-admin, over HTTP/1.1 and HTTP/2. Its host is fixed, so its
// connections are led to the simulator.
import http2 from "node:http2";
import https from "node:https";
import tls from "node:tls";
import { syncBuiltinESMExports } from "node:module";

const given = JSON.parse(process.argv[2]);
const realConnect = http2.connect;
http2.connect = (_, options) => realConnect(`https://127.0.0.1:${given.port}`, options);
syncBuiltinESMExports();
const httpAgent = new https.Agent();
httpAgent.createConnection = () => tls.connect({ host: "127.0.0.1", port: given.port, servername: "localhost" });

const { initializeApp } = await import("firebase-admin/app");
const { getMessaging } = await import("firebase-admin/messaging");
const granted = await fetch(given.token_url, {
  method: "POST",
  body: new URLSearchParams({ grant_type: "urn:ietf:params:oauth:grant-type:jwt-bearer", assertion: given.assertion }),
});
const { access_token, expires_in } = await granted.json();
const credential = { getAccessToken: async () => ({ access_token, expires_in }) };
const messaging = getMessaging(initializeApp({ credential, projectId: given.project, httpAgent }));
const messages = given.tokens.map((token) => ({
  token,
  notification: { title: "Sale", body: "Ends tonight" },
  data: { campaign: "7" },
  android: { priority: "high", ttl: 3_600_000, notification: { tag: "campaign-7" } },
  apns: { payload: { aps: { badge: 1 } } },
}));
const name = await messaging.send(messages[0]);
const batch = await messaging.sendEach(messages.slice(1));
const errors = batch.responses.filter((each) => each.error).map((each) => each.error.code);
console.log(JSON.stringify({ name, accepted: batch.successCount, errors }));
process.exit(0);
