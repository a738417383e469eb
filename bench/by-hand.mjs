// How presence is kept by hand, and the floor: how a newcomer gets the first list of a community.
const ROOM = 'community:c';
const HASH = 'by-hand:c';

/** What an application says of its users. */
export function infoOf(userId) {
  return {
    name: `Somebody called ${userId}`,
    avatar: `https://example.org/avatars/${userId}.png`,
  };
}

function presenceOf(userId) {
  return {
    userId,
    communityId: 'c',
    status: 'active',
    info: infoOf(userId),
    devices: [{ deviceId: 'd', status: 'active', connectedAt: 1e12, lastActiveAt: 1e12 }],
    onlineSince: 1e12,
    lastActiveAt: 1e12,
  };
}

const INFO = { communityId: 'c', complete: true, nodes: 3 };

/** A way sends lists; `come` and `go` are told of who is here, `list` gives all who are online. */
const WAYS = {
  'fetchSockets()': (io) => ({
    come: () => {},
    go: () => {},
    list: async () => {
      const sockets = await io.in(ROOM).fetchSockets();
      const users = new Map(sockets.map(({ data }) => [data.userId, presenceOf(data.userId)]));
      return [...users.values()];
    },
  }),
  'serverSideEmit() gather': (io) => {
    const local = new Map();
    io.on('everybody', (reply) => reply([...local.values()]));
    return {
      come: (userId) => local.set(userId, presenceOf(userId)),
      go: (userId) => local.delete(userId),
      list: async () => {
        const answers = await io
          .serverSideEmitWithAck('everybody')
          .catch(({ responses }) => responses);
        const all = [...answers.flat(), ...local.values()];
        return [...new Map(all.map((user) => [user.userId, user])).values()];
      },
    };
  },
  'Redis hash': (_io, redis) => ({
    come: (userId) => redis.hSet(HASH, userId, JSON.stringify(presenceOf(userId))),
    go: (userId) => redis.hDel(HASH, userId),
    list: async () => Object.values(await redis.hGetAll(HASH)).map((text) => JSON.parse(text)),
  }),
  /** The least there is: a Map of everybody in each node, and its list encoded once for all newcomers. */
  floor: (io) => {
    const everybody = new Map();
    io.on('come', (userId) => everybody.set(userId, presenceOf(userId)));
    let encoded;
    return {
      come: (userId) => {
        everybody.set(userId, presenceOf(userId));
        io.serverSideEmit('come', userId);
      },
      go: () => {},
      list: async () => [...everybody.values()],
      send: (socket) => {
        encoded ??= encodeList([...everybody.values()]);
        sendEncoded(socket, encoded);
      },
    };
  },
};

export const BY_HAND = Object.keys(WAYS);

/** A list as a packet and its WebSocket frame, encoded once. */
export function encodeList(users, namespace = '') {
  const packet = `2${namespace}${JSON.stringify(['globalPresenceSync', users, INFO])}`;
  const payload = Buffer.from(`4${packet}`);
  const header = Buffer.alloc(10);
  header[0] = 0x81;
  header[1] = 127;
  header.writeBigUInt64BE(BigInt(payload.length), 2);
  const frame = [Buffer.concat([header, payload])];
  return { packet, options: { preEncoded: true, compress: true, wsPreEncodedFrame: frame } };
}

export function sendEncoded(socket, { packet, options }) {
  socket.client.writeToEngine([packet], options);
}

/**
 * Keeps presence by hand. Only newcomers are told of the others: what telling costs is not compared
 * here. Gives the list as a node of this way would make it now.
 */
export function serveByHand(way, io, redis) {
  const { come, go, list, send } = WAYS[way](io, redis);
  io.on('connection', async (socket) => {
    const { userId, isNewcomer } = socket.handshake.auth;
    socket.data.userId = userId;
    void socket.join(ROOM);
    socket.on('disconnect', () => go(userId));
    if (!isNewcomer) return void come(userId);
    if (send !== undefined) return send(socket);
    come(userId);
    socket.emit('globalPresenceSync', await list(), INFO);
  });
  return list;
}
