#include "db/system_statements.hpp"

#include "db/audit_queries.hpp"
#include "db/key_queries.hpp"
#include "db/tenant_queries.hpp"

namespace colloquy::db {
namespace system_statements {

const statement as_system{"as_system", "SELECT set_config('role', 'colloquy_system', true)", {}};
const statement as_login{"as_login_role", "SELECT set_config('role', 'none', true)", {}};

// ---- ownership

namespace {
constexpr oid begin_takeover_types[] = {oids::uuid, oids::uuid_array};
constexpr oid process_types[] = {oids::uuid};
} // namespace

const statement begin_takeover{"begin_takeover", "SELECT begin_takeover($1, $2)", begin_takeover_types};

// The application name guards against a pid that another program's backend has got since.
const statement end_backends{
    "end_backends",
    "SELECT pg_terminate_backend(a.pid) FROM pg_stat_activity AS a"
    " WHERE a.pid = ANY (current_setting('colloquy.backends_to_end')::int[]) AND a.pid <> pg_backend_pid()"
    " AND a.datname = current_database() AND a.usename = session_user"
    " AND a.application_name = current_setting('application_name')",
    {}};

const statement finish_takeover{"finish_takeover", "SELECT shard, previous_process_id FROM finish_takeover($1)",
                                process_types};
const statement end_process{"end_process", "SELECT end_process($1)", process_types};

// ---- time passing

namespace {
constexpr oid find_types[] = {oids::timestamptz, oids::bytea, oids::int8};
constexpr oid mark_expired_types[] = {oids::uuid, oids::timestamptz, oids::text_array, oids::uuid_array};
constexpr oid forget_keys_types[] = {oids::timestamptz, oids::int8};
constexpr oid forget_processes_types[] = {oids::timestamptz};
} // namespace

const statement find_overdue{"find_overdue",
                             "SELECT tenant_id, id FROM sessions WHERE status <> 'expired' AND expires_at <= $1"
                             " AND get_bit($2, shard_of(id)::bigint) = 1 ORDER BY expires_at LIMIT $3",
                             find_types};
const statement find_expired{"find_expired",
                             "SELECT tenant_id, id FROM sessions WHERE status = 'expired' AND expires_at < $1"
                             " AND get_bit($2, shard_of(id)::bigint) = 1 ORDER BY expires_at LIMIT $3",
                             find_types};
const statement mark_expired{"mark_expired", "SELECT cleanup_expired_sessions($1, $2, $3, $4)", mark_expired_types};

const statement forget_keys{
    "forget_keys",
    "WITH gone AS (DELETE FROM idempotency_keys AS k USING"
    " (SELECT tenant_id, session_id, scope, key FROM idempotency_keys WHERE created_at < $1"
    " ORDER BY created_at LIMIT $2) AS o"
    " WHERE k.tenant_id = o.tenant_id AND k.session_id = o.session_id AND k.scope = o.scope AND k.key = o.key"
    " AND k.created_at < $1 RETURNING 1)"
    " SELECT count(*) FROM gone",
    forget_keys_types};

// Those that own nothing: an owner's row goes only after another has taken over.
const statement forget_processes{
    "forget_processes",
    "WITH gone AS (DELETE FROM processes AS p WHERE p.renewed_at < $1"
    " AND NOT EXISTS (SELECT FROM shards AS s WHERE s.process_id = p.process_id) RETURNING p.process_id),"
    " unused AS (DELETE FROM writers AS w USING gone AS g WHERE w.process_id = g.process_id)"
    " SELECT count(*) FROM gone",
    forget_processes_types};

// ---- erasing

namespace {
constexpr oid erase_step_types[] = {oids::text, oids::uuid, oids::int8};
constexpr oid limit_types[] = {oids::int8};
constexpr oid of_session_types[] = {oids::text, oids::uuid};
constexpr oid of_user_types[] = {oids::text, oids::text, oids::int8};
} // namespace

const statement erase_step{"erase_step",
                           "SELECT is_done, events, turns, idempotency_keys, participants, events_kept_for_forks"
                           " FROM erase_step($1, $2, $3)",
                           erase_step_types};
const statement read_erasures{"read_erasures",
                              "SELECT tenant_id, session_id FROM erasures ORDER BY requested_at LIMIT $1", limit_types};
const statement find_erasure{"find_erasure", "SELECT session_id FROM erasures WHERE tenant_id = $1 AND session_id = $2",
                             of_session_types};

const statement find_document_erasures{
    "find_document_erasures", "SELECT tenant_id, collection_id FROM document_erasures ORDER BY begun_at LIMIT $1",
    limit_types};

const statement forget_participant{
    "forget_participant",
    "WITH gone AS (DELETE FROM participants AS p USING"
    " (SELECT session_id FROM participants WHERE tenant_id = $1 AND user_id = $2 LIMIT $3) AS o"
    " WHERE p.tenant_id = $1 AND p.session_id = o.session_id AND p.user_id = $2 RETURNING 1)"
    " SELECT count(*) FROM gone",
    of_user_types};
const statement forget_author{
    "forget_author",
    "WITH changed AS (UPDATE events AS e SET author = NULL FROM"
    " (SELECT log_id, \"offset\" FROM events WHERE tenant_id = $1 AND author = $2 LIMIT $3) AS o"
    " WHERE e.tenant_id = $1 AND e.log_id = o.log_id AND e.\"offset\" = o.\"offset\" RETURNING 1)"
    " SELECT count(*) FROM changed",
    of_user_types};

// ---- tenants and keys

namespace {
// Before the audit's: tenant, title, quotas, the scope, key and digest of a request that may be repeated.
constexpr oid insert_tenant_types[] = {oids::text, oids::text, oids::int8_array,    oids::text,
                                       oids::text, oids::text, COLLOQUY_AUDIT_TYPES};
constexpr oid find_made_tenant_types[] = {oids::text, oids::timestamptz, oids::uuid, oids::text, oids::text};
constexpr oid list_tenants_types[] = {oids::text, oids::int8};
constexpr oid count_usage_types[] = {oids::uuid, oids::int8, oids::text_array, oids::int8_array, oids::int8_array};
constexpr oid prefix_types[] = {oids::text};
constexpr oid digest_types[] = {oids::bytea};
} // namespace

const statement insert_tenant{
    "insert_tenant",
    "WITH made AS (INSERT INTO tenants (tenant_id, title, requests_per_s, request_burst, sessions_max,"
    " resident_sessions_max, stored_bytes_max, running_turns_max, subscriptions_max, message_bytes_max,"
    " connections_max, idempotency_scope, idempotency_key, idempotency_fingerprint, created_at)"
    " VALUES ($1, $2, ($3)[1], ($3)[2], ($3)[3], ($3)[4], ($3)[5], ($3)[6], ($3)[7], ($3)[8], ($3)[9],"
    " CASE WHEN $5 <> '' THEN $4 END, nullif($5, ''), CASE WHEN $5 <> '' THEN $6 END, $7)"
    " ON CONFLICT DO NOTHING RETURNING tenant_id)" COLLOQUY_INSERT_AUDIT
    " SELECT tenant_id, $7, $8, $9, $10, $11, $12, $13 FROM made",
    insert_tenant_types};
// That its entry in the audit log is there tells that this very request has made it.
const statement find_made_tenant{
    "find_made_tenant",
    "SELECT " COLLOQUY_TENANT_COLUMNS ", t.tenant_id = $1 AND EXISTS (SELECT FROM audit_log AS a"
    " WHERE a.tenant_id = $1 AND a.at = $2 AND a.id = $3),"
    " coalesce(t.idempotency_scope = $4 AND t.idempotency_key = $5, false), coalesce(t.idempotency_fingerprint, '')"
    " FROM tenants AS t WHERE t.tenant_id = $1 OR (t.idempotency_scope = $4 AND t.idempotency_key = $5)",
    find_made_tenant_types};
const statement list_tenants{"list_tenants",
                             "SELECT " COLLOQUY_TENANT_COLUMNS
                             " FROM tenants AS t WHERE t.tenant_id > $1 ORDER BY t.tenant_id LIMIT $2",
                             list_tenants_types};
const statement count_usage{"count_usage", "SELECT count_usage($1, $2, $3, $4, $5)", count_usage_types};

const statement find_api_key{
    "find_api_key", "SELECT k.tenant_id, k.sha256, " COLLOQUY_KEY_COLUMNS " FROM api_keys AS k WHERE k.prefix = $1",
    prefix_types};
const statement keep_admin_key{
    "keep_admin_key", "INSERT INTO service_keys (admin_sha256) VALUES ($1) ON CONFLICT DO NOTHING", digest_types};
const statement read_service_keys{
    "read_service_keys", "SELECT (SELECT admin_sha256 FROM service_keys), EXISTS (SELECT FROM api_keys)", {}};

} // namespace system_statements

statement_call as_system_call() {
  return {&system_statements::as_system, {}};
}

} // namespace colloquy::db
