// Rooms by Socket.IO: `join`, and `io.to(room).emit`, as in its documentation under "Rooms".
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });

io.on('connection', (socket) => {
  const { room } = socket.handshake.auth;
  if (room) socket.join(room);
  socket.on('message', (said) => io.to(room).emit('message', said));
  socket.on('echo', (said) => socket.emit('echo', said));
});

http.listen({ port: 0, host: '127.0.0.1', backlog: 4096 }, () => console.log(`127.0.0.1:${http.address().port}`));
