// Node's fetch: downloads, a body of known length, a stream as a body, one that is given up, a redirect.
import { createHash } from "node:crypto";
import { readFile } from "node:fs/promises";

const [, , url, file] = process.argv;
const digest = (data) => createHash("sha256").update(data).digest("hex");
const blob = await readFile(file);

async function* pieces() {
  for (let start = 0; start < blob.length; start += 100_001) yield blob.subarray(start, start + 100_001);
}

const down = await fetch(`${url}/files/blob.bin`);
const unpacked = await fetch(`${url}/files/text.txt`);
const sent = await fetch(`${url}/cgi/digest`, { method: "POST", body: blob });
const streamed = await fetch(`${url}/cgi/digest`, { method: "POST", body: pieces(), duplex: "half" });
const head = await fetch(`${url}/files/blob.bin`, { method: "HEAD" });
const missing = await fetch(`${url}/nothing`);
const part = await fetch(`${url}/files/blob.bin`, { headers: { Range: "bytes=1-4" } });

const leaving = new AbortController();
const left = await fetch(`${url}/files/blob.bin`, { signal: leaving.signal });
const reader = left.body.getReader();
await reader.read();
leaving.abort();
const ended = await reader.read().then(() => "read on", (error) => error.name);

const moved = await fetch(`${url}/moved`);

console.log(JSON.stringify({
  down: digest(new Uint8Array(await down.arrayBuffer())),
  unpacked: [unpacked.headers.get("content-encoding"), digest(await unpacked.text())],
  sent: [(await sent.text()).slice(0, 64), sent.headers.get("x-seen")],
  streamed: [(await streamed.text()).slice(0, 64), streamed.headers.get("x-seen")],
  head: [head.status, head.headers.get("content-length"), await head.text()],
  missing: missing.status,
  part: [part.status, (await part.text()).length],
  ended,
  moved: [moved.status, moved.redirected, moved.url],
}));
