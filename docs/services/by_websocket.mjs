import WebSocket from "ws"; // Node.js 22 has one of its own, and needs no import

const URL = process.env.MADANG ?? "ws://127.0.0.1:8080/ws?name=kitchen";

function serve() {
  const socket = new WebSocket(URL);
  const say = (message) => socket.send(JSON.stringify(message));
  socket.onopen = () => say({ type: "serve", service: "cafe", concurrency: 4 });
  socket.onmessage = ({ data }) => {
    const { type, call, params, from } = JSON.parse(data);
    if (type !== "request") return;
    say({ type: "progress", call, data: "grinding" });
    if (params.item === "cake")
      say({ type: "respond", call, error: { code: "sold_out", message: "There is no cake left." } });
    else say({ type: "respond", call, result: { item: params.item, for: from.name } });
  };
  socket.onerror = () => {}; // it is closed, too
  socket.onclose = () => setTimeout(serve, 1000);
}
serve();
