-- One prepared INSERT of a message of 200 bytes and nothing else: the limit of whoever writes message by message.
\set log random(1, 1000)
INSERT INTO bench_copy (tenant_id, log_id, "offset", created_at, kind, role, data, messages)
VALUES ('default', ('00000000-0000-7000-8000-' || lpad(CAST(:log AS text), 12, '0'))::uuid, nextval('bench_offsets'),
        now(), 'message', 'user', '{"role":"user","content":"' || repeat('x', 172) || '"}', 1);
