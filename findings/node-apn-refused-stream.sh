#!/usr/bin/env bash
# node-apn: a request whose stream the server refuses (REFUSED_STREAM) counts as failed, and is not sent again. RFC 9113,
# section 8.7, says that such a request was not processed, so that it can be sent again without any risk; Node's own
# HTTP/2 client leaves that to the library. APNs refuses streams beyond its limit in this way.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
npm install --silent --no-audit --no-fund --prefix "$folder" @parse/node-apn@8.1.0 >/dev/null
openssl ecparam -name prime256v1 -genkey -noout | openssl pkcs8 -topk8 -nocrypt -out key.p8
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout tls.key -out tls.crt -days 2 \
    -subj /CN=localhost -addext subjectAltName=DNS:localhost 2>/dev/null
cat > try.js <<'EOF'
const fs = require("fs");
const http2 = require("http2");
const apn = require("@parse/node-apn");

const DEVICES = 20;
const REFUSED = 3; // the first of them
const seen = [];
const server = http2.createSecureServer({ key: fs.readFileSync("tls.key"), cert: fs.readFileSync("tls.crt") });
server.on("stream", (stream, headers) => {
  stream.on("error", () => {});
  seen.push(headers[":path"]);
  if (seen.length <= REFUSED) {
    stream.close(http2.constants.NGHTTP2_REFUSED_STREAM);
    return;
  }
  stream.respond({ ":status": 200, "apns-id": "00000000-0000-0000-0000-000000000000" });
  stream.end();
});

async function main() {
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  const provider = new apn.Provider({
    token: { key: "key.p8", keyId: "ABCDE12345", teamId: "FGHIJ67890" },
    address: "localhost",
    port: server.address().port,
    ca: fs.readFileSync("tls.crt"),
    connectionRetryLimit: 3,
  });
  const note = new apn.Notification({ alert: "Hello", topic: "com.example.app" });
  const devices = Array.from({ length: DEVICES }, (_, number) => number.toString(16).padStart(64, "0"));
  const { sent, failed } = await provider.send(note, devices);
  await provider.shutdown();
  server.close();
  const versions = `@parse/node-apn ${require("@parse/node-apn/package.json").version}, Node ${process.versions.node}`;
  console.log(`versions: ${versions}`);
  console.log(`expected: ${DEVICES} of ${DEVICES} devices sent to: what was refused was not processed, and is sent again`);
  console.log(`seen: ${sent.length} sent, ${failed.length} failed, ${seen.length} requests in all`);
  const said = [...new Set(failed.map((each) => String((each.error || {}).message || each.status)))];
  console.log(`seen: what is said of those who failed: ${said.join("; ")}`);
  if (sent.length !== DEVICES - REFUSED || failed.length !== REFUSED || seen.length !== DEVICES) {
    console.error("Changed: what was refused is sent again.");
    process.exit(1);
  }
  console.log("As described: what was refused is lost, unless the caller sends it again.");
}

setTimeout(() => {
  console.error("Could not be tried: nothing came back within 60 s.");
  process.exit(2);
}, 60000).unref();
main();
EOF
node try.js
