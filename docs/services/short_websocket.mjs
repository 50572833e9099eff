import WebSocket from "ws"; // Node.js 22 has one of its own, and needs no import

const socket = new WebSocket(process.env.MADANG ?? "ws://127.0.0.1:8080/ws?name=kitchen");
const say = (message) => socket.send(JSON.stringify(message));
socket.onopen = () => say({ type: "serve", service: "cafe", concurrency: 4 });
socket.onmessage = ({ data }) => {
  const { type, call, params } = JSON.parse(data);
  if (type === "request") say({ type: "respond", call, result: `one ${params.item}` });
};
