import { createServer } from "node:http";
import { json } from "node:stream/consumers";

createServer(async (request, response) => {
  const { params } = await json(request);
  response.end(JSON.stringify(`one ${params.item}`));
}).listen(process.env.PORT ?? 3000, "127.0.0.1");
