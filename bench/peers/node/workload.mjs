// One measurement of a peer in Node: node workload.mjs PEER WORKLOAD SECONDS SECONDS_WARM CONCURRENCY SESSIONS_FILE
//   PEER      pg (an append gives out the next offset), pg-insert (one plain INSERT, the caller knows the offset),
//             langgraph (LangGraph.js' checkpointer)
//   WORKLOAD  append, turn (reads the last 20 messages, appends two)
// libpq's PG* variables say where. Ends with one line of JSON.
import { readFileSync } from 'node:fs';
import pg from 'pg';

const TENANT = 'default';
const MESSAGE_BYTES = 200;
const READ = 20;
const [peer, workload, seconds, secondsWarm, concurrency, sessionsFile] = process.argv.slice(2);
const sessions = readFileSync(sessionsFile, 'utf8').trim().split('\n');
const statements = JSON.parse(readFileSync(process.env.STATEMENTS, 'utf8'));
const pool = new pg.Pool({ max: Number(process.env.PEER_CONNECTIONS ?? 10) });

function message(role) {
  const opening = `{"role":"${role}","content":"`;
  return `${opening}${'x'.repeat(MESSAGE_BYTES - opening.length - 2)}"}`;
}
const USER = message('user');
const ASSISTANT = message('assistant');

let at = 0;
const nextSession = () => at++ % sessions.length;

function query(name, values) {
  return pool.query({ name, text: statements[name], values });
}

async function appendInOrder() {
  const { rows } = await query('append', [TENANT, sessions[nextSession()], 'user', USER]);
  if (rows.length !== 1) throw new Error('an append gave no offset');
}

const offsets = new Map();
async function insertAlone() {
  const session = sessions[nextSession()];
  const offset = offsets.get(session) ?? 0;
  offsets.set(session, offset + 1);
  await query('insert', [TENANT, session, offset, 'user', USER]);
}

async function turn() {
  const session = sessions[nextSession()];
  const { rows } = await query('newest', [TENANT, session]);
  if (rows.map((row) => JSON.parse(row.data)).length !== READ) throw new Error('a history is too short');
  const added = await query('append_two', [TENANT, session, 'user', USER, 'assistant', ASSISTANT]);
  if (added.rows.length !== 2) throw new Error('a turn gave no offsets');
}

// A checkpoint a step, as the framework writes them. In its favour: the messages that a step keeps are the new ones of an
// append, the newest 20 of a turn, and not, as there, the whole list; and its tables are its own.
async function langgraph() {
  const { PostgresSaver } = await import('@langchain/langgraph-checkpoint-postgres');
  const { uuid6 } = await import('@langchain/langgraph-checkpoint');
  const saver = new PostgresSaver(pool);
  await saver.setup();
  const steps = sessions.map(() => ({ step: 0, id: undefined }));
  const put = async (number, messages) => {
    const state = steps[number];
    const step = ++state.step;
    const checkpoint = {
      v: 4, id: uuid6(step), ts: new Date().toISOString(), channel_values: { messages },
      channel_versions: { messages: step }, versions_seen: {},
    };
    const config = { configurable: { thread_id: sessions[number], checkpoint_ns: '', checkpoint_id: state.id } };
    await saver.put(config, checkpoint, { source: 'loop', step, parents: {} }, { messages: step });
    state.id = checkpoint.id;
  };
  const user = JSON.parse(USER);
  const assistant = JSON.parse(ASSISTANT);
  if (workload === 'append') return () => put(nextSession(), [user]);
  const twenty = Array.from({ length: READ }, (_, i) => (i % 2 === 0 ? user : assistant));
  for (let first = 0; first < sessions.length; first += 50)
    await Promise.all(sessions.slice(first, first + 50).map((_, i) => put(first + i, twenty)));
  return async () => {
    const number = nextSession();
    const found = await saver.getTuple({ configurable: { thread_id: sessions[number] } });
    const messages = found.checkpoint.channel_values.messages;
    if (messages.length !== READ) throw new Error('a history is too short');
    await put(number, [...messages, user, assistant].slice(-READ));
  };
}

async function operationOf() {
  if (peer === 'langgraph') return langgraph();
  if (workload === 'turn') return turn;
  return peer === 'pg-insert' ? insertAlone : appendInOrder;
}

const operation = await operationOf();
const begun = performance.now();
const countedFrom = begun + Number(secondsWarm) * 1000;
const until = countedFrom + Number(seconds) * 1000;
const latencies = [];
let all = 0;
async function caller() {
  for (let start = performance.now(); start < until; start = performance.now()) {
    await operation();
    all += 1;
    const end = performance.now();
    if (end >= countedFrom && end < until) latencies.push(end - start);
  }
}
await Promise.all(Array.from({ length: Number(concurrency) }, caller));
await pool.end();
latencies.sort((left, right) => left - right);
const share = (part) => latencies[Math.min(latencies.length - 1, Math.floor(latencies.length * part))];
console.log(JSON.stringify({
  operations: all, per_s: latencies.length / Number(seconds), p50_ms: share(0.5), p99_ms: share(0.99),
}));
