#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { PresenceError } from '../server/index.js';
import { httpUrl } from './api-client.js';
import { demo } from './demo.js';
import { FaultError, UsageError } from './errors.js';
import { evict, explain, type EvictOptions } from './explain.js';
import { replayFile, type ReplayOptions } from './replay.js';
import { serve, type ServeOptions } from './serve.js';
import { simulate, type SimulateOptions } from './simulate.js';
import { top, type TopOptions } from './top.js';

/** The command line. Wrong usage ends with code 2, a fault outside with code 1, each in one sentence. */

function wholeNumber(least: number, most: number): (text: string) => number {
  return (text) => {
    const value = Number(text);
    if (!Number.isInteger(value) || text.trim() === '' || value < least || value > most) {
      throw new InvalidArgumentError(`It must be a whole number from ${least} to ${most}.`);
    }
    return value;
  };
}

function text(value: string): string {
  if (value.trim() === '') throw new InvalidArgumentError('It must not be empty.');
  return value;
}

function key(value: string): string {
  if (value === value.trim()) return text(value);
  // Commander's own error would show the key.
  throw new UsageError(
    '--api-key, or ROLLCALL_API_KEY, must not begin or end with white space, which no request could carry',
  );
}

/** A flag that is also ROLLCALL_<FLAG> in the environment. */
function flag(flags: string, description: string): Option {
  const option = new Option(flags, description);
  const name = (option.long ?? '').slice(2).replaceAll('-', '_').toUpperCase();
  return option.env(`ROLLCALL_${name}`);
}

const ON = ['true', '1', 'yes', 'on'];
const OFF = ['false', '0', 'no', 'off'];
/** They keep others out: one that is empty by mistake must not let them in. */
const GUARDS = ['ROLLCALL_API_KEY', 'ROLLCALL_CORS_ORIGIN'];

/**
 * Takes what counts as unset out of the environment. To commander a flag without a value is set by any
 * variable, `false` included, and an empty variable is a value.
 */
function readEnvironment(command: Command): void {
  for (const option of command.options) {
    const name = option.envVar ?? '';
    const value = process.env[name]?.toLowerCase();
    if (value === undefined || (option.isBoolean() && ON.includes(value))) continue;
    const isOff = option.isBoolean() && OFF.includes(value);
    const isEmpty = value === '' && !GUARDS.includes(name);
    // Kubernetes sets it in every pod beside a service that is named rollcall.
    const isService = name === 'ROLLCALL_PORT' && value.startsWith('tcp://');
    if (isOff || isEmpty || isService) delete process.env[name];
    else if (option.isBoolean()) {
      command.error(
        `${name} is '${process.env[name]}' in the environment; it must be true, 1, yes or on, or else false, 0, no or off`,
        { exitCode: 2 },
      );
    }
  }
}

const ms = wholeNumber(0, 600_000);

function serveCommand(): Command {
  return new Command('serve')
    .description('run one node of a rollcall cluster')
    .addOption(
      flag('--port <port>', 'port to listen on; 0 takes a free one')
        .default(3001)
        .argParser(wholeNumber(0, 65_535)),
    )
    .addOption(flag('--host <host>', 'address to listen on').default('127.0.0.1').argParser(text))
    .addOption(
      flag('--strategy <strategy>', 'where the state of the other nodes lives')
        .choices(['replicated', 'on-demand', 'dual-write', 'redis'])
        .default('replicated'),
    )
    .addOption(
      flag(
        '--adapter <adapter>',
        'Socket.IO adapter (default: redis with --redis, else memory)',
      ).choices(['redis', 'redis-sharded', 'redis-streams', 'memory']),
    )
    .addOption(
      flag('--transport <transport>', 'what carries presence between nodes')
        .choices(['adapter', 'redis'])
        .default('adapter'),
    )
    .addOption(flag('--redis <url>', 'Redis, such as redis://127.0.0.1:6379').argParser(redisUrl))
    .addOption(flag('--name <name>', 'stable label of this node').argParser(text))
    .addOption(
      flag('--auth <auth>', 'how clients say who they are')
        .choices(['jwt', 'insecure'])
        .default('jwt'),
    )
    .addOption(flag('--jwt-secret <secret>', 'shared secret of the tokens (HS256, HS384, HS512)'))
    .addOption(
      flag('--jwt-public-key <pem>', 'public key of the tokens: PEM text or the path of a file'),
    )
    .addOption(flag('--api-key <key>', 'key for the HTTP API').argParser(key))
    .addOption(flag('--dashboard', 'serve a live view of the cluster at /dashboard'))
    .addOption(flag('--dashboard-evict', 'let the dashboard end users, too'))
    .addOption(
      flag(
        '--cors-origin <origins>',
        'web origins that may connect, separated by commas',
      ).argParser(origins),
    )
    .addOption(
      flag('--log-level <level>', 'least level that is logged')
        .choices(['debug', 'info', 'warn', 'error', 'silent'])
        .default('info'),
    )
    .addOption(
      flag('--record <file>', 'write what the core is given, for rollcall replay').argParser(text),
    )
    .addOption(
      flag('--linger-ms <ms>', 'how long a dropped device still counts')
        .default(5000)
        .argParser(ms),
    )
    .addOption(
      flag('--heartbeat-ms <ms>', 'how often a node says that it is there')
        .default(1000)
        .argParser(ms),
    )
    .addOption(
      flag('--down-after-ms <ms>', 'silence after which a node is dead')
        .default(5000)
        .argParser(ms),
    )
    .addOption(
      flag('--typing-timeout-ms <ms>', 'when typing clears itself').default(6000).argParser(ms),
    )
    .allowExcessArguments(false)
    .action((options: ServeOptions) => serve(options));
}

function demoCommand(): Command {
  return new Command('demo')
    .description('run three nodes on this machine, without Redis, and a page that shows them')
    .addOption(
      flag(
        '--port <port>',
        'port of the page; 0 takes a free one (default: 3000, or the next free one)',
      ).argParser(wholeNumber(0, 65_535)),
    )
    .addOption(
      flag('--redis <url>', 'a Redis, to try the strategies that keep their state there').argParser(
        redisUrl,
      ),
    )
    .allowExcessArguments(false)
    .action((options: { port?: number; redis?: string }) => demo(options));
}

function simulateCommand(): Command {
  const seed = wholeNumber(0, Number.MAX_SAFE_INTEGER);
  return new Command('simulate')
    .description('run the core under faults in virtual time and check its invariants')
    .addOption(
      flag('--seeds <n>', 'how many seeds to run').default(1000).argParser(wholeNumber(1, 1e9)),
    )
    .addOption(flag('--from <seed>', 'the first seed').default(1).argParser(seed))
    .addOption(
      flag('--nodes <n>', 'nodes of the cluster; drawn by default').argParser(wholeNumber(1, 16)),
    )
    .addOption(flag('--jobs <n>', 'threads; all cores by default').argParser(wholeNumber(1, 64)))
    .addOption(flag('--calm', 'no faults and no lost messages'))
    .addOption(flag('--compare', 'the same seeds with the ways in which it is done by hand'))
    .addOption(flag('--seed <seed>', 'replay this seed and show its last events').argParser(seed))
    .allowExcessArguments(false)
    .action(async (options: SimulateOptions) => {
      process.exitCode = await simulate(options);
    });
}

/** A command that asks a node's HTTP API. */
function apiCommand(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .addOption(
      flag('--url <url>', 'where a node of the cluster serves')
        .default('http://127.0.0.1:3001')
        .argParser(httpUrl),
    )
    .addOption(flag('--api-key <key>', 'key for the HTTP API').argParser(text))
    .allowExcessArguments(false);
}

function explainCommand(): Command {
  return apiCommand('explain', 'say why a user is online, and what would end it')
    .argument('<user>', 'userId', text)
    .action(explain);
}

function evictCommand(): Command {
  return apiCommand('evict', 'end a user, or one device, on every node')
    .argument('<user>', 'userId', text)
    .option('--device <device>', 'this device only', text)
    .option(
      '--community <community>',
      'in this community only: the sockets stay, and must be authorized again',
      text,
    )
    .option('--reason <reason>', 'for the logs', text)
    .action(async (userId: string, options: EvictOptions) => {
      process.exitCode = await evict(userId, options);
    });
}

function replayCommand(): Command {
  return new Command('replay')
    .description('step a node through what serve --record wrote and show what it believed')
    .argument('<file>', 'a recording')
    .addOption(
      flag('--until <seconds>', 'stop at this moment of the recording').argParser((value) => {
        const seconds = Number(value);
        if (value.trim() === '' || !(seconds >= 0)) {
          throw new InvalidArgumentError('It must be a number of seconds.');
        }
        return seconds;
      }),
    )
    .addOption(flag('--verbose', 'show messages between nodes, too'))
    .allowExcessArguments(false)
    .action((file: string, options: ReplayOptions) => replayFile(file, options));
}

function topCommand(): Command {
  return apiCommand('top', 'show the cluster in this terminal')
    .option('--interval-ms <ms>', 'how often it is asked', wholeNumber(200, 60_000), 1000)
    .option('--once', 'ask once and end')
    .action((options: TopOptions) => top(options));
}

function redisUrl(value: string): string {
  try {
    const { protocol, pathname, search, hash } = new URL(value);
    const isCutShort = `${pathname}${search}${hash}`.includes('@');
    if ((protocol === 'redis:' || protocol === 'rediss:') && !isCutShort) return value;
  } catch {
    // Falls through.
  }
  // Commander's own error would show the value, and the password in it.
  throw new UsageError(
    '--redis must be a URL such as redis://127.0.0.1:6379; in a password / is written %2F, ? %3F and # %23',
  );
}

function origins(value: string): string[] {
  return value.split(',').map((each) => {
    try {
      const { protocol, origin } = new URL(each.trim());
      // Of any other URL it is the text `null`, which is what a page in a sandbox calls itself.
      if (protocol === 'http:' || protocol === 'https:') return origin;
    } catch {
      // Falls through.
    }
    throw new InvalidArgumentError(
      'Origins begin with http:// or https://, such as https://example.org, and are separated by commas.',
    );
  });
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}

async function main(): Promise<void> {
  const program = new Command('rollcall')
    .description('Presence for Socket.IO applications that run on more than one instance.')
    .version(version());
  const commands = [
    serveCommand(),
    demoCommand(),
    simulateCommand(),
    replayCommand(),
    explainCommand(),
    evictCommand(),
    topCommand(),
  ];
  for (const command of commands) program.addCommand(command);
  program.hook('preSubcommand', (_program, command) => readEnvironment(command));
  for (const command of [program, ...program.commands]) {
    command.exitOverride().configureOutput({
      outputError: (message, write) => {
        // Commander puts what it would suggest on a line of its own.
        write(
          `rollcall: ${message
            .replace(/^error: /, '')
            .trim()
            .replaceAll('\n', ' ')}\n`,
        );
      },
    });
  }
  try {
    await program.parseAsync();
  } catch (error) {
    process.exitCode = report(error);
    // Connections that were opened before the fault must not keep the process.
    process.exit();
  }
}

/** Whoever reads may have seen enough, as `| head` has: that is no fault. */
function letReadersGo(): void {
  const serves = ['serve', 'demo'].includes(process.argv[2] ?? '');
  for (const stream of [process.stdout, process.stderr]) {
    stream.on('error', (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EPIPE') throw error;
      // What is not there to be read goes on; anything else ends as SIGPIPE would end it.
      if (stream === process.stdout && !serves) process.exit(141);
    });
  }
}

/** Options that are flags here; errors name what the user typed. */
const OPTION_NAMES = /\b(lingerMs|heartbeatMs|downAfterMs|typingTimeoutMs|nodeName)\b/g;

function asFlag(option: string): string {
  if (option === 'nodeName') return '--name';
  return `--${option.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`;
}

function report(error: unknown): number {
  if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
  if (error instanceof UsageError || error instanceof FaultError) {
    process.stderr.write(`rollcall: ${error.message}\n`);
    return error.exitCode;
  }
  if (error instanceof PresenceError && error.code === 'INVALID_OPTION') {
    process.stderr.write(`rollcall: ${error.message.replaceAll(OPTION_NAMES, asFlag)}\n`);
    return 2;
  }
  process.stderr.write(
    `rollcall: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`,
  );
  return 1;
}

letReadersGo();
await main();
