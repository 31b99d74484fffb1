// Both official clients, in every way they open a server, over both transports: list, call, read, and a database
// session whose state lasts from call to call. usage: clients.mjs MODULES URL PROGRAM DATA_DIR
import assert from 'node:assert/strict';
import { pathToFileURL } from 'node:url';
import { join } from 'node:path';

const [modules, url, program, dataDir] = process.argv.slice(2);
const load = (path) => import(pathToFileURL(join(modules, '@modelcontextprotocol', path)).href);

const older = await load('sdk/dist/esm/client/index.js');
const olderStdio = await load('sdk/dist/esm/client/stdio.js');
const olderHttp = await load('sdk/dist/esm/client/streamableHttp.js');
const newer = await load('client/dist/index.mjs');
const newerStdio = await load('client/dist/stdio.mjs');

const info = { name: 'colloquy-test', version: '1.0.0' };
const command = { command: program, args: ['mcp', '--data-dir', dataDir, '--log-level', 'warn'], stderr: 'inherit' };

const clients = [['sdk 1', () => new older.Client(info), olderStdio.StdioClientTransport,
                  olderHttp.StreamableHTTPClientTransport]];
for (const mode of ['legacy', 'auto', { pin: '2026-07-28' }])
  clients.push([`client 2 ${JSON.stringify(mode)}`, () => new newer.Client(info, { versionNegotiation: { mode } }),
                newerStdio.StdioClientTransport, newer.StreamableHTTPClientTransport]);

async function call(client, name, args) {
  const result = await client.callTool({ name, arguments: args });
  assert.ok(!result.isError, `${name}: ${result.content?.[0]?.text}`);
  return result.structuredContent;
}

async function converse(client) {
  const { tools } = await client.listTools();
  assert.ok(tools.length >= 11 && tools.length <= 15, `${tools.length} tools`);
  const session = await call(client, 'create_session', { user_id: 'ada' });
  await call(client, 'append_messages',
             { session_id: session.id, durability: 'durable', messages: [{ role: 'user', content: 'Hi' }] });
  const read = await call(client, 'list_messages', { session_id: session.id });
  assert.deepEqual(read.items.map((each) => each.content), ['Hi']);
  const seen = await client.readResource({ uri: `session://${session.id}` });
  assert.equal(JSON.parse(seen.contents[0].text).id, session.id);
  const wrong = await client.callTool({ name: 'list_messages', arguments: { session_id: 'none' } });
  assert.ok(wrong.isError);
  return tools;
}

async function useDatabase(client) {
  const opened = await call(client, 'open_database_session', { access: 'read_write' });
  const run = (sql, params) => call(client, 'execute_sql', { database_session_id: opened.id, sql, ...(params && { params }) });
  await run("SET application_name = 'mine'");
  await run('PREPARE twice (int) AS SELECT $1 * 2 AS n');
  await run('CREATE TEMP TABLE notes (n int)');
  await run('BEGIN');
  await run('INSERT INTO notes VALUES ($1)', [7]);
  const inside = await run('SELECT n FROM notes');
  assert.equal(inside.transaction_status, 'in_transaction');
  await run('ROLLBACK');
  assert.equal((await run('SELECT n FROM notes')).row_count, 0);
  assert.deepEqual((await run('EXECUTE twice (21)')).rows, [[42]]);
  assert.deepEqual((await run('SHOW application_name')).rows, [['mine']]);
  await call(client, 'close_database_session', { database_session_id: opened.id });
}

for (const [name, make, stdio, http] of clients)
  for (const [way, transport] of [['stdio', () => new stdio(command)], ['http', () => new http(new URL(url))]]) {
    const client = make();
    await client.connect(transport());
    const tools = await converse(client);
    const hasDatabase = tools.some((each) => each.name === 'execute_sql');
    if (hasDatabase)
      await useDatabase(client);
    await client.close();
    console.log(`ok ${name} over ${way}${hasDatabase ? ', with a database session' : ''}`);
  }
