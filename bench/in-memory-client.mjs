// Clients without a network: Socket.IO's own sockets over an Engine.IO connection that lives in memory.
// All that the server does for a client happens; only what is sent to it is dropped where its WebSocket
// would be. Ten thousand users would else be ten thousand connections on this machine.
import { EventEmitter } from 'node:events';

class InMemoryConnection extends EventEmitter {
  protocol = 4;
  readyState = 'open';
  remoteAddress = '127.0.0.1';
  request = { headers: {}, url: '/', _query: {}, connection: {} };
  transport = { name: 'memory', writable: true };

  constructor(id) {
    super();
    this.id = id;
  }

  write() {}

  close() {
    this.readyState = 'closed';
    this.emit('close', 'transport close');
  }
}

/** Connects a client with this handshake to the default namespace of a server in this process. */
export function connectInMemory(io, id, auth) {
  const connection = new InMemoryConnection(id);
  io.onconnection(connection);
  connection.emit('data', `0${JSON.stringify(auth)}`);
}
