// Presence in a NestJS application that runs on several instances.
//
//   npx tsc -p examples/nestjs && node examples/nestjs/dist/main.js
//   PORT=3002 REDIS_URL=redis://127.0.0.1:6379 node examples/nestjs/dist/main.js   (as often as you like)
import 'reflect-metadata';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { OnlineController } from './online-controller.js';
import { PresenceGateway } from './presence-gateway.js';
import { RedisIoAdapter } from './redis-io-adapter.js';

@Module({ providers: [PresenceGateway], controllers: [OnlineController] })
class AppModule {}

const { PORT = '3000', REDIS_URL } = process.env;

const app = await NestFactory.create(AppModule, { logger: ['warn', 'error'] });
// With one instance there is nothing to share; with more, any Socket.IO adapter will do.
if (REDIS_URL !== undefined) app.useWebSocketAdapter(await RedisIoAdapter.connect(app, REDIS_URL));
process.once('SIGTERM', () => void app.close());
await app.listen(Number(PORT), '127.0.0.1');
await app.get(PresenceGateway).presence.ready();
console.log(`ready ${await app.getUrl()}`);
