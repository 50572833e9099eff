/** A network that tests can break. */
import { once } from 'node:events';
import net from 'node:net';

/** A network between clients and the server, in which everything can go wrong. */
export class Network {
  #links = new Set();
  #listener;
  /** Milliseconds that bytes take towards the server, and back; functions give a new one for each piece. */
  up = () => 0;
  down = () => 0;
  /** Nobody gets through, and who tries is cut off. */
  isDown = false;

  /** @param {{ port: number }} server @param {{ up?: () => number, down?: () => number }} [delays] */
  static async before(server, delays = {}) {
    const network = Object.assign(new Network(), delays);
    network.#listener = net.createServer((client) => network.#connect(client, server));
    network.#listener.listen(0, '127.0.0.1');
    await once(network.#listener, 'listening');
    return network;
  }

  get url() {
    return `http://127.0.0.1:${this.#listener.address().port}`;
  }

  get links() {
    return this.#links.size;
  }

  /** Cuts what there is. */
  cut() {
    for (const link of this.#links) link.end();
  }

  /** Cuts what there is, and what comes, until `isDown` is false again. */
  goDown() {
    this.isDown = true;
    this.cut();
  }

  /** The cable is pulled: nothing goes either way, and nobody is told. New connections are good. */
  stall() {
    for (const link of this.#links) link.stalled = true;
  }

  async remove() {
    this.goDown();
    this.#listener.close();
    await once(this.#listener, 'close');
  }

  #connect(client, server) {
    if (this.isDown) return void client.destroy();
    const upstream = net.connect(server.port, '127.0.0.1');
    const link = {
      stalled: false,
      end: () => {
        this.#links.delete(link);
        client.destroy();
        upstream.destroy();
      },
    };
    this.#links.add(link);
    this.#pass(link, client, upstream, () => this.up());
    this.#pass(link, upstream, client, () => this.down());
  }

  /** In order, however different the delays are. */
  #pass(link, from, to, delay) {
    let last = Promise.resolve();
    const later = (what) => {
      const due = new Promise((resolve) => setTimeout(resolve, delay()).unref());
      last = Promise.all([last, due]).then(() => link.stalled || what());
    };
    from.on('data', (bytes) => later(() => to.writable && to.write(bytes)));
    from.on('end', () => later(() => to.end()));
    from.on('error', () => link.end());
    from.on('close', () => later(() => link.end()));
  }
}
