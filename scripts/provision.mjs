// Finds redis-server and a Chromium for the tests, and installs what is missing where it may.
import { spawnSync } from 'node:child_process';
import { accessSync, constants, existsSync, rmSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const NEEDS = [
  { what: 'redis-server', env: 'REDIS_SERVER', names: ['redis-server'], apt: 'redis-server' },
  {
    what: 'chromium',
    env: 'CHROMIUM',
    names: ['chromium', 'chromium-browser', 'google-chrome'],
    apt: 'chromium',
  },
];

function find({ env, names }) {
  const given = process.env[env];
  if (given) return existsSync(given) ? given : undefined;
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    for (const name of names) {
      const file = join(folder, name);
      try {
        accessSync(file, constants.X_OK);
        return file;
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
  if (!works('apt-get', ['--version'])) return false;
  const isRoot = process.getuid?.() === 0;
  if (!isRoot && !works('sudo', ['-n', 'true'])) return false;
  const apt = (args) => {
    const command = isRoot ? ['apt-get', ...args] : ['sudo', '-n', 'apt-get', ...args];
    return (
      spawnSync(command[0], command.slice(1), {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
      }).status === 0
    );
  };
  // The tests start servers of their own: keep Debian from starting one at installation.
  const policy = '/usr/sbin/policy-rc.d';
  const ours = isRoot && !existsSync(policy);
  if (ours) writeFileSync(policy, '#!/bin/sh\nexit 101\n', { mode: 0o755 });
  try {
    console.error(`installing ${packages.join(', ')} …`);
    apt(['update', '-qq']);
    return apt(['install', '-y', '-qq', '--no-install-recommends', ...packages]);
  } finally {
    if (ours) rmSync(policy, { force: true });
  }
}

/** Gives the environment that tells the tests where the programs are. */
export function provision() {
  let missing = NEEDS.filter((need) => find(need) === undefined);
  if (missing.length > 0) {
    install(missing.map((need) => need.apt));
    missing = missing.filter((need) => find(need) === undefined);
  }
  for (const need of missing) {
    const consequence = process.env['CI'] ? 'the tests need it' : 'its tests are skipped';
    console.error(
      `${need.what} was not found and could not be installed; ${consequence}. ` +
        `Install it (Debian: apt-get install ${need.apt}), or set ${need.env} to its path.`,
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
