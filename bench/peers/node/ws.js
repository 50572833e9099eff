// Rooms by `ws`: a loop over the clients that are open, as its documentation shows under "Server broadcast".
import { createServer } from 'node:http';
import { WebSocket, WebSocketServer } from 'ws';

const http = createServer();
const wss = new WebSocketServer({ server: http });
const rooms = new Map();

wss.on('connection', (socket, request) => {
  socket.on('error', () => {});
  if (request.url === '/echo') {
    socket.on('message', (data, isBinary) => socket.send(data, { binary: isBinary }));
    return;
  }
  let room = rooms.get(request.url);
  if (!room) rooms.set(request.url, (room = new Set()));
  room.add(socket);
  socket.on('close', () => room.delete(socket));
  socket.on('message', (data, isBinary) => {
    for (const member of room) {
      if (member.readyState === WebSocket.OPEN) member.send(data, { binary: isBinary });
    }
  });
});

http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(`127.0.0.1:${http.address().port}`));
