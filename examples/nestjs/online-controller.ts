import { Controller, Get } from '@nestjs/common';
import { PresenceGateway } from './presence-gateway.js';

@Controller('online')
export class OnlineController {
  constructor(private readonly gateway: PresenceGateway) {}

  @Get()
  online(): { userId: string; status: string }[] {
    const users = this.gateway.presence.onlineUsers('lobby');
    return users.map(({ userId, status }) => ({ userId, status }));
  }
}
