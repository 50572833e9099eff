import { createHmac, timingSafeEqual } from "node:crypto";
import { createServer } from "node:http";
import { buffer } from "node:stream/consumers";

const { PORT = 3000, SECRET = "open sesame" } = process.env;

function isSigned(header = "", body) {
  const [, sent, signature] = /^t=(\d+),v1=([0-9a-f]{64})$/.exec(header) ?? [];
  if (!signature || Math.abs(Date.now() / 1000 - sent) > 300) return false;
  const expected = createHmac("sha256", SECRET).update(`${sent}.`).update(body).digest();
  return timingSafeEqual(expected, Buffer.from(signature, "hex"));
}

createServer(async (request, response) => {
  const body = await buffer(request);
  const reply = (status, answer) => response.writeHead(status).end(JSON.stringify(answer));
  if (!isSigned(request.headers["madang-signature"], body))
    return reply(401, { code: "unauthorized", message: "This is not signed by Madang." });
  const { params, from } = JSON.parse(body);
  if (params.item === "cake") return reply(422, { code: "sold_out", message: "There is no cake left." });
  reply(200, { item: params.item, for: from.name });
}).listen(PORT, "127.0.0.1");
