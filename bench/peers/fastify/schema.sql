-- Colloquy's own columns and primary keys, so that a row costs the same to write and to read. Left out, in this
-- service's favour: row level security, the other indexes of events, and whatever else Colloquy writes down.
CREATE TABLE sessions (
  tenant_id    text COLLATE "C" NOT NULL,
  id           uuid NOT NULL,
  user_id      text COLLATE "C" NOT NULL CHECK (char_length(user_id) BETWEEN 1 AND 255),
  title        text CHECK (char_length(title) <= 1000),
  status       text COLLATE "C" NOT NULL DEFAULT 'active'
               CHECK (status IN ('active', 'paused', 'completed', 'expired')),
  created_at   timestamptz NOT NULL DEFAULT now(),
  expires_at   timestamptz,
  metadata     text NOT NULL DEFAULT '{}',
  next_offset  bigint NOT NULL DEFAULT 0, -- what orders appends: its row is locked until the append has committed
  PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 50); -- an append updates the row in place, beside the old one

CREATE TABLE events (
  tenant_id     text COLLATE "C" NOT NULL,
  log_id        uuid NOT NULL,
  "offset"      bigint NOT NULL CHECK ("offset" >= 0),
  created_at    timestamptz NOT NULL,
  kind          text COLLATE "C" NOT NULL CHECK (kind IN ('message', 'tool', 'status', 'custom')),
  role          text COLLATE "C" CHECK (role IN ('system', 'user', 'assistant', 'tool')),
  turn_id       uuid,
  tokens        integer CHECK (tokens >= 0),
  tool_call_id  text COLLATE "C",
  tool_call_ids text[],
  source        text,
  trace_id      text COLLATE "C",
  data          text NOT NULL,
  messages      bigint NOT NULL,
  author        text COLLATE "C",
  PRIMARY KEY (tenant_id, log_id, "offset")
);
