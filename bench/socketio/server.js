// Calls by Socket.IO: whoever emits "call" gets the acknowledgement of one of those who serve, by turns.
import { createServer } from 'node:http';
import { Server } from 'socket.io';

const http = createServer();
const io = new Server(http, { transports: ['websocket'] });
const services = [];
let turn = 0;

io.on('connection', (socket) => {
  socket.on('serve', (done) => {
    services.push(socket);
    done();
  });
  socket.on('call', async (params, done) => {
    const service = services[turn++ % services.length];
    done(await service.emitWithAck('request', params));
  });
});

http.listen(0, '127.0.0.1', () => console.error(`listening on 127.0.0.1:${http.address().port}`));
