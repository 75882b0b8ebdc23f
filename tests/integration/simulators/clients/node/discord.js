// A bot and a webhook of discord.js: who it is, a message with a file, one of components, edits and deletions.
import { AttachmentBuilder, REST, Routes, WebhookClient } from "discord.js";

const given = JSON.parse(process.argv[2]);
const api = `${given.url}/api`;
const rest = new REST({ version: "10", api }).setToken(given.token);
const me = await rest.get(Routes.user());
const path = Routes.channelMessages(given.channel);
const posted = await rest.post(path, {
  body: { content: "Sale", embeds: [{ title: "Ends tonight" }] },
  files: [{ name: "a.txt", data: "hello", contentType: "text/plain" }],
});
const button = { type: 2, style: 5, label: "Go", url: "https://example.com" };
const second = await rest.post(path, { body: { components: [{ type: 1, components: [button] }] } });
const edited = await rest.patch(Routes.channelMessage(given.channel, posted.id), { body: { content: "Over" } });
await rest.delete(Routes.channelMessage(given.channel, second.id));

const webhook = new WebhookClient({ url: given.webhook }, { rest: { api, version: "10" } });
const sent = await webhook.send({ content: "Sale", files: [new AttachmentBuilder(Buffer.from("x"), { name: "b.txt" })] });
await webhook.editMessage(sent.id, "Over");
await webhook.deleteMessage(sent.id);
console.log(
  JSON.stringify({
    me: me.username,
    attachment: posted.attachments[0].filename,
    edited: edited.content,
    webhook: sent.attachments[0].filename,
  }),
);
process.exit(0);
