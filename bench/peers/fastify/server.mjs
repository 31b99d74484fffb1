// What a decent engineer would write in an afternoon: Fastify, node-postgres, ten connections, prepared statements,
// schemas for requests and replies, one statement an append. PORT and libpq's PG* variables say where.
import { randomBytes } from 'node:crypto';
import Fastify from 'fastify';
import pg from 'pg';

const TENANT = 'default';
const pool = new pg.Pool({ max: 10 });
pool.on('error', (error) => console.error(error.message));
const app = Fastify({ logger: false, bodyLimit: 16 * 1024 * 1024, forceCloseConnections: true });

function uuidv7() {
  const bytes = randomBytes(16);
  bytes.writeUIntBE(Date.now(), 0, 6);
  bytes[6] = (bytes[6] & 0x0f) | 0x70;
  bytes[8] = (bytes[8] & 0x3f) | 0x80;
  const hex = bytes.toString('hex');
  return [hex.slice(0, 8), hex.slice(8, 12), hex.slice(12, 16), hex.slice(16, 20), hex.slice(20)].join('-');
}

// In one statement, so in one round trip and one commit. Two appends to a session wait for each other at its row, so
// offsets have no gap and none is given twice.
const APPEND = `
  WITH taken AS (
    UPDATE sessions SET next_offset = next_offset + 1
     WHERE tenant_id = $1 AND id = $2 AND status = 'active' AND (expires_at IS NULL OR expires_at > now())
    RETURNING next_offset - 1 AS at)
  INSERT INTO events (tenant_id, log_id, "offset", created_at, kind, role, tokens, data, messages)
  SELECT $1, $2, at, now(), 'message', $3, $4, $5, at + 1 FROM taken
  RETURNING "offset"::int`;
const NEWEST = `
  SELECT "offset"::int, created_at, turn_id, data FROM events
   WHERE tenant_id = $1 AND log_id = $2 AND "offset" < $3 AND kind = 'message' ORDER BY "offset" DESC LIMIT $4`;
const OLDEST = `
  SELECT "offset"::int, created_at, turn_id, data FROM events
   WHERE tenant_id = $1 AND log_id = $2 AND "offset" > $3 AND kind = 'message' ORDER BY "offset" LIMIT $4`;

const session = { type: 'object', required: ['id'], properties: { id: { type: 'string', format: 'uuid' } } };
const content = { anyOf: [{ type: 'string' }, { type: 'array', items: { type: 'object', required: ['type'] } }] };
const message = {
  type: 'object',
  required: ['role', 'content'],
  additionalProperties: false,
  properties: {
    role: { enum: ['system', 'user', 'assistant', 'tool'] },
    content,
    name: { type: 'string' },
    tokens: { type: 'integer', minimum: 0 },
    metadata: { type: 'object' },
  },
};
const page = {
  type: 'object',
  properties: {
    items: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          offset: { type: 'integer' },
          created_at: { type: 'string' },
          turn_id: { type: ['string', 'null'] },
          role: { type: 'string' },
          content: {},
          name: { type: 'string' },
          tokens: { type: 'integer' },
          metadata: { type: 'object', additionalProperties: true },
        },
      },
    },
    next_cursor: { type: ['string', 'null'] },
  },
};

app.post('/v1/sessions', {
  schema: {
    body: {
      type: 'object',
      required: ['user_id'],
      additionalProperties: false,
      properties: {
        user_id: { type: 'string', minLength: 1, maxLength: 255 },
        title: { type: 'string', maxLength: 1000 },
        metadata: { type: 'object' },
      },
    },
  },
}, async (request, reply) => {
  const { user_id, title, metadata } = request.body;
  const { rows } = await pool.query({
    name: 'create',
    text: `INSERT INTO sessions (tenant_id, id, user_id, title, metadata, expires_at)
           VALUES ($1, $2, $3, $4, $5, now() + interval '1 day') RETURNING id, user_id, title, status, created_at`,
    values: [TENANT, uuidv7(), user_id, title ?? null, JSON.stringify(metadata ?? {})],
  });
  return reply.code(201).send(rows[0]);
});

app.post('/v1/sessions/:id/messages', {
  schema: {
    params: session,
    body: message,
    response: {
      201: {
        type: 'object',
        properties: { offsets: { type: 'array', items: { type: 'integer' } }, durability: { type: 'string' } },
      },
    },
  },
}, async (request, reply) => {
  const { role, tokens } = request.body;
  const { rows } = await pool.query({
    name: 'append',
    text: APPEND,
    values: [TENANT, request.params.id, role, tokens ?? null, JSON.stringify(request.body)],
  });
  if (rows.length === 0) return reply.code(404).send({ status: 404, code: 'not_found', title: 'Not found' });
  return reply.code(201).send({ offsets: [rows[0].offset], durability: 'durable' });
});

app.get('/v1/sessions/:id/messages', {
  schema: {
    params: session,
    querystring: {
      type: 'object',
      properties: {
        order: { enum: ['asc', 'desc'], default: 'asc' },
        after: { type: 'integer', default: -1 },
        before: { type: 'integer', default: Number.MAX_SAFE_INTEGER },
        limit: { type: 'integer', minimum: 1, maximum: 1000, default: 100 },
      },
    },
    response: { 200: page },
  },
}, async (request) => {
  const { order, after, before, limit } = request.query;
  const isNewestFirst = order === 'desc';
  const { rows } = await pool.query({
    name: order,
    text: isNewestFirst ? NEWEST : OLDEST,
    values: [TENANT, request.params.id, isNewestFirst ? before : after, limit],
  });
  const items = rows.map((row) => {
    const item = JSON.parse(row.data);
    item.offset = row.offset;
    item.created_at = row.created_at.toISOString();
    item.turn_id = row.turn_id;
    return item;
  });
  return { items, next_cursor: rows.length === limit ? String(rows[rows.length - 1].offset) : null };
});

app.get('/readyz', async () => {
  await pool.query('SELECT 1');
  return { ready: true };
});

for (const signal of ['SIGINT', 'SIGTERM'])
  process.once(signal, async () => {
    await app.close();
    await pool.end();
  });
await app.listen({ host: '127.0.0.1', port: Number(process.env.PORT ?? 8081) });
