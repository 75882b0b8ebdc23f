// Sends one notification to each of `tokens` with node-apn; prints what became of them.
import apn from "@parse/node-apn";

const given = JSON.parse(process.argv[2]);
const provider = new apn.Provider({
  token: { key: given.key_file, keyId: given.key_id, teamId: given.team_id },
  address: "127.0.0.1",
  port: given.port,
  production: true,
});
const note = new apn.Notification({ alert: "Sale", topic: "com.example.app", pushType: "alert" });
note.collapseId = "campaign-7";
const result = await provider.send(note, given.tokens);
provider.shutdown();
const failed = result.failed.map((each) => [each.device, each.response?.reason ?? String(each.error)]);
console.log(JSON.stringify({ sent: result.sent.map((each) => each.device), failed }));
