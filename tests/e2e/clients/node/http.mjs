// Node's http and https modules: an agent that keeps one connection, "Expect: 100-continue", a stream as a body.
import { createHash } from "node:crypto";
import { readFileSync, createReadStream } from "node:fs";
import http from "node:http";
import https from "node:https";
import { pipeline } from "node:stream/promises";

const [, , url, file, ca] = process.argv;
const secure = url.startsWith("https:");
const library = secure ? https : http;
const agent = new library.Agent({ keepAlive: true, maxSockets: 1, ca: ca ? readFileSync(ca) : undefined });
const seen = [];

async function call(path, options = {}, send = (request) => request.end()) {
  const request = library.request(url + path, { agent, ...options });
  const answered = new Promise((resolve, reject) => request.once("response", resolve).once("error", reject));
  await Promise.all([send(request), answered]);
  const response = await answered;
  const digest = createHash("sha256");
  let text = "";
  for await (const piece of response) {
    digest.update(piece);
    if (text.length < 100) text += piece;
  }
  seen.push(request.reusedSocket);
  return { status: response.statusCode, digest: digest.digest("hex"), text: text.slice(0, 64) };
}

const stream = (request) => pipeline(createReadStream(file), request);
const waiting = { method: "POST", headers: { Expect: "100-continue" } };
let asked = 0;

const down = await call("/files/blob.bin");
const streamed = await call("/cgi/digest", { method: "POST" }, stream);
const put = await call("/dav/node", { method: "PUT", headers: { "Content-Length": readFileSync(file).length } }, stream);
const continued = await call("/cgi/digest", waiting, (request) => {
  request.flushHeaders();
  return new Promise((resolve) => request.once("continue", () => (asked++, resolve(stream(request)))));
});
const head = await call("/files/blob.bin", { method: "HEAD" });
const last = await call("/files/small.json");
agent.destroy();
console.log(JSON.stringify({ down, streamed, put, continued, asked, head, last, seen }));
