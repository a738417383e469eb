// Writes docs/api.md from the docstrings of what the package exports. With --check: fails where that
// is not what is there, or where an exported name has no docstring.
import { readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { parseSync } from 'vite';
import { root } from './run.mjs';

const ENTRIES = [
  ['rollcall', 'server', 'The server: adds presence to a Socket.IO server.'],
  ['rollcall/client', 'client', 'The client: live stores over an application’s own socket.'],
  [
    'rollcall/client/window',
    'client/window',
    'A part of a large community: a page, named users, the count.',
  ],
  ['rollcall/react', 'react', 'Hooks over the client.'],
  ['rollcall/redis', 'redis', 'Strategies that keep the state in Redis.'],
  ['rollcall/testing', 'testing', 'Suites for whoever writes a strategy or a transport.'],
  ['rollcall/core', 'core', 'The core without input and output, for simulators and other hosts.'],
];

const files = new Map();

/** A parsed .d.ts: its statements, and the docstring that ends right before a place. */
function read(file) {
  let parsed = files.get(file);
  if (parsed === undefined) {
    const text = readFileSync(file, 'utf8');
    const { program, comments } = parseSync(file, text);
    const docs = new Map();
    for (const { type, value, start, end } of comments) {
      if (type !== 'Block' || !value.startsWith('*')) continue;
      const next = end + /^\s*/.exec(text.slice(end))[0].length;
      docs.set(next, { start, text: docText(value) });
    }
    parsed = { text, body: program.body, docs, comments };
    files.set(file, parsed);
  }
  return parsed;
}

function docText(value) {
  return value
    .split('\n')
    .map((line) => line.replace(/^\s*\*? ?/, '').trimEnd())
    .join('\n')
    .trim();
}

/** What a module exports: name → the file and the statement that declares it. */
function exportsOf(file) {
  const found = new Map();
  const { body } = read(file);
  const declared = new Map();
  const from = new Map();
  for (const statement of body) {
    const { declaration } = statement;
    for (const name of namesOf(declaration ?? statement)) {
      // A function may have several signatures.
      const { statements = [] } = declared.get(name) ?? {};
      declared.set(name, { file, statements: [...statements, statement] });
    }
    if (statement.type === 'ImportDeclaration') {
      for (const { local, imported } of statement.specifiers) {
        if (imported) from.set(local.name, [statement.source.value, imported.name]);
      }
    }
  }
  for (const statement of body) {
    if (statement.type === 'ExportAllDeclaration') {
      for (const [name, one] of exportsOf(resolve(file, statement.source.value)))
        found.set(name, one);
    }
    if (statement.type !== 'ExportNamedDeclaration') continue;
    for (const name of namesOf(statement.declaration)) found.set(name, declared.get(name));
    for (const { local, exported } of statement.specifiers) {
      const [source, name] = statement.source
        ? [statement.source.value, local.name]
        : (from.get(local.name) ?? [undefined, local.name]);
      const one =
        source === undefined ? declared.get(name) : exportsOf(resolve(file, source)).get(name);
      found.set(exported.name, one);
    }
  }
  return found;
}

function resolve(file, source) {
  return join(dirname(file), source.replace(/\.js$/, '.d.ts'));
}

function namesOf(declaration) {
  if (!declaration) return [];
  if (declaration.declarations) return declaration.declarations.map(({ id }) => id.name);
  return declaration.id?.name ? [declaration.id.name] : [];
}

/** The source of a node without comments, on as few lines as its author gave it. */
function sourceOf({ text, comments }, { start, end }) {
  let source = '';
  let at = start;
  for (const comment of comments) {
    if (comment.start < at || comment.end > end) continue;
    source += text.slice(at, comment.start);
    at = comment.end;
  }
  source += text.slice(at, end);
  return source.replace(/\n\s*\n/g, '\n').replace(/^(export )?(declare )?/, '');
}

const undocumented = [];

function section(entry, name, { file, statements }) {
  const parsed = read(file);
  const [declaration, ...more] = statements.map((each) => each.declaration ?? each);
  const doc = statements.map(({ start }) => parsed.docs.get(start)?.text).find(Boolean);
  if (doc === undefined) undocumented.push(`${name} of ${entry}`);
  const lines = [`### ${name}`, ''];
  if (doc !== undefined) lines.push(...prose(doc), '');
  const body = declaration.body?.body;
  const isMembers =
    declaration.type === 'TSInterfaceDeclaration' || declaration.type === 'ClassDeclaration';
  if (isMembers && Array.isArray(body)) {
    const head = sourceOf(parsed, { start: declaration.start, end: declaration.body.start }).trim();
    lines.push('```ts', head, '```', '');
    for (const member of body) {
      if (member.key?.type === 'PrivateIdentifier' || member.accessibility === 'private') continue;
      const source = oneLine(sourceOf(parsed, member));
      const said = parsed.docs.get(member.start)?.text;
      lines.push(
        `- \`${source}\`${said === undefined ? '' : ` — ${prose(said).join(' ').trim()}`}`,
      );
    }
    lines.push('');
  } else {
    const sources = [declaration, ...more].map((each) => sourceOf(parsed, each).trim());
    lines.push('```ts', ...sources, '```', '');
  }
  return lines;
}

function oneLine(source) {
  return source
    .replace(/\s*\n\s*/g, ' ')
    .replace(/;$/, '')
    .replace(/^readonly /, '')
    .replaceAll('`', '\\`');
}

/** A docstring as Markdown: tags become sentences, lines of a paragraph join. */
function prose(doc) {
  return doc
    .replace(/@throws\s+/g, 'Throws: ')
    .replace(/@returns?\s+/g, 'Gives ')
    .split(/\n{2,}/)
    .flatMap((paragraph, i) => {
      const isList = /^- /m.test(paragraph);
      return [
        ...(i > 0 ? [''] : []),
        ...(isList ? paragraph.split('\n') : [paragraph.replaceAll('\n', ' ')]),
      ];
    });
}

const known = new Map();
const lines = [
  '# API reference',
  '',
  'Made from the docstrings by `node scripts/api-docs.mjs`; do not edit. Times are in ms, and moments in ms since the epoch, where nothing else is said.',
  '',
  ...ENTRIES.map(([entry]) => `- [${entry}](#${entry.replaceAll('/', '')})`),
  '',
];
for (const [entry, folder, what] of ENTRIES) {
  lines.push(`## ${entry}`, '', what, '');
  const names = exportsOf(join(root, 'dist', folder, 'index.d.ts'));
  const again = [];
  for (const [name, one] of [...names].sort(([a], [b]) => a.localeCompare(b, 'en'))) {
    if (one === undefined) throw new Error(`${name} of ${entry} was not found`);
    if (known.get(name) === one.statements[0]) again.push(name);
    else lines.push(...section(entry, name, one));
    known.set(name, one.statements[0]);
  }
  if (again.length > 0) {
    lines.push(
      `Also exported here, described above: ${again.map((n) => `\`${n}\``).join(', ')}.`,
      '',
    );
  }
}
const text = `${lines.join('\n').trimEnd()}\n`;
const file = join(root, 'docs', 'api.md');
if (undocumented.length > 0) {
  console.error(`exported without a docstring: ${undocumented.join(', ')}`);
}
if (!process.argv.includes('--check')) {
  writeFileSync(file, text);
} else if (readFileSync(file, 'utf8') !== text) {
  console.error('docs/api.md is not what the docstrings say; run "node scripts/api-docs.mjs"');
  process.exit(1);
}
if (undocumented.length > 0) process.exit(1);
