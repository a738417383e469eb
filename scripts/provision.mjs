// Finds redis-server, a Chromium, nginx and a Python with Socket.IO for the tests, and installs what is missing where it may.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync } from 'node:fs';
import { delimiter, isAbsolute, join } from 'node:path';

const NEEDS = [
  { what: 'redis-server', env: 'REDIS_SERVER', names: ['redis-server'], apt: 'redis-server' },
  {
    what: 'chromium',
    env: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    apt: 'chromium',
  },
  { what: 'nginx', env: 'NGINX', names: ['nginx', '/usr/sbin/nginx'], apt: 'nginx-light' },
  {
    what: 'python3-socketio',
    env: 'PYTHON',
    // Debian's packages are for Debian's Python, which another may hide.
    names: ['/usr/bin/python3', 'python3'],
    runs: ['-c', 'import socketio, websocket'],
    apt: 'python3-socketio',
    more: ['python3-websocket', 'python3-requests'],
  },
];

function find({ env, names, runs }) {
  const given = process.env[env];
  if (given) return existsSync(given) ? given : undefined;
  const fits = (file) => runs === undefined || works(file, runs);
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of names) {
      const file = isAbsolute(name) ? name : join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        if (fits(file)) return file;
      } catch {
        // Not in this folder.
      }
    }
  }
  return undefined;
}

function works(command, args) {
  return spawnSync(command, args, { stdio: 'ignore' }).status === 0;
}

function install(packages) {
  if (!works('apt-get', ['--version'])) return;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !works('sudo', ['-n', 'true'])) return;
  const asRoot = (args) =>
    spawnSync(isRoot ? 'env' : 'sudo', [...(isRoot ? [] : ['-n', 'env']), ...args], {
      stdio: ['ignore', 'ignore', 'inherit'],
    }).status === 0;
  const apt = (...args) => asRoot(['DEBIAN_FRONTEND=noninteractive', 'apt-get', ...args]);
  // The tests start servers of their own: keep Debian from starting one at installation.
  const policy = '/usr/sbin/policy-rc.d';
  const script = `printf '#!/bin/sh\\nexit 101\\n' > ${policy} && chmod 755 ${policy}`;
  const ours = !existsSync(policy) && asRoot(['sh', '-c', script]);
  try {
    console.error(`installing ${packages.join(', ')} …`);
    apt('update', '-qq');
    // One at a time: a distribution without the one may have the other.
    for (const name of packages) apt('install', '-y', '-qq', '--no-install-recommends', name);
  } finally {
    if (ours) asRoot(['rm', '-f', policy]);
  }
}

/** Gives the environment that tells the tests where the programs are. */
export function provision() {
  let missing = NEEDS.filter((need) => find(need) === undefined);
  if (missing.length > 0) {
    install(missing.flatMap(({ apt, more = [] }) => [apt, ...more]));
    missing = missing.filter((need) => find(need) === undefined);
  }
  for (const need of missing) {
    const consequence = process.env['CI'] ? 'the tests need it' : 'its tests are skipped';
    console.error(
      `${need.what} was not found and could not be installed; ${consequence}. ` +
        `Install it (Debian: apt-get install ${[need.apt, ...(need.more ?? [])].join(' ')}), or set ${need.env} to its path.`,
    );
  }
  if (missing.length > 0 && process.env['CI']) process.exit(1);
  const env = {};
  for (const need of NEEDS) {
    const found = find(need);
    if (found !== undefined) env[need.env] = found;
  }
  return env;
}
