// A React page with rollcall/react, served by Vite, and the server behind it on the same port.
//
//   node examples/react/server.mjs        then open the address in two tabs
import { createServer } from 'node:http';
import { fileURLToPath } from 'node:url';
import react from '@vitejs/plugin-react';
import { createPresence } from 'rollcall';
import { Server } from 'socket.io';
import { createServer as createVite } from 'vite';

const http = createServer();
const io = new Server(http);
const presence = createPresence(io, {
  identify: ({ handshake: { auth } }) => ({
    userId: String(auth.userId),
    deviceId: auth.deviceId,
    session: auth.session,
    status: auth.status,
    info: { name: String(auth.userId) },
    communities: ['lobby'],
  }),
});

const vite = await createVite({
  root: fileURLToPath(new URL('.', import.meta.url)),
  configFile: false,
  plugins: [react()],
  logLevel: 'error',
  // Vite's own socket shares the port.
  server: { middlewareMode: true, hmr: { server: http } },
});
http.on('request', (request, response) => {
  if (!request.url.startsWith('/socket.io/')) vite.middlewares(request, response);
});

http.listen(Number(process.env.PORT ?? 3000), '127.0.0.1', async () => {
  await presence.ready();
  console.log(`ready http://127.0.0.1:${http.address().port}`);
});

process.once('SIGTERM', async () => {
  await presence.close();
  await io.close();
  await vite.close();
});
