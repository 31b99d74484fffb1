#include "config/settings_table.hpp"

#include "config/setting_kinds.hpp"
#include "config/text_rules.hpp"

namespace colloquy::config {

namespace {

using std::chrono::milliseconds;
using namespace std::chrono_literals;

environment_name in_ms(std::string name) {
  return {std::move(name), spelling::bare_milliseconds};
}

environment_name in_seconds(std::string name) {
  return {std::move(name), spelling::bare_seconds};
}

constexpr range<std::size_t> undurable_range{mebibyte, 64 * gibibyte};
constexpr range<milliseconds> call_range{100ms, 10min};
constexpr range<milliseconds> statement_range{100ms, 24h};

void add_database_settings(std::vector<setting_descriptor>& table) {
  table.push_back(optional_text_setting("database", &settings::database, connection_rule(),
                                        "The PostgreSQL server to use; without one Colloquy runs its own.",
                                        {{"SUPABASE_SESSION_POOLER"}, {"POSTGRES_CONNECTION"}, {"DATABASE_URL"}}));
  table.back().secret = secrecy::connection;
  table.push_back(optional_choice_setting(
      "ssl_mode", &settings::ssl_mode,
      {ssl_mode::disable, ssl_mode::allow, ssl_mode::prefer, ssl_mode::require, ssl_mode::verify_ca,
       ssl_mode::verify_full},
      "What encryption must prove, unless the connection string says it itself; left open it is verify-full for any "
      "host that is not local, and require encrypts without knowing to whom.",
      {{"PGSSLMODE"}}));
  table.push_back(optional_path_setting("ssl_root_cert", &settings::ssl_root_cert, certificate_rule(),
                                        "The authorities whose certificates the database's own is held against.",
                                        {{"PGSSLROOTCERT"}, {"SSL_CERT_PATH"}}));
  table.push_back(choice_setting("address_family", &settings::address_family,
                                 {address_family::any, address_family::ipv4, address_family::ipv6},
                                 "Which addresses of a host are tried first."));
}

void add_supabase_settings(std::vector<setting_descriptor>& table) {
  const auto add = [&](std::string_view name, std::optional<std::string> settings::*member, text_rule rule,
                       std::string_view meaning, std::string older, secrecy secret) {
    table.push_back(optional_text_setting(name, member, std::move(rule), meaning, {{std::move(older)}}));
    table.back().secret = secret;
  };
  table.push_back(optional_choice_setting(
      "connection_type", &settings::connection_type, {connection_type::direct, connection_type::supavisor_session},
      "How a Supabase project's database is reached where no database is set; left open it is supavisor_session where "
      "the region is known, which has IPv4, else direct.",
      {{"DB_CONNECTION_TYPE"}}));
  add("supabase_project_ref", &settings::supabase_project_ref, project_rule(),
      "The Supabase project whose database is used where no database is set.", "SUPABASE_PROJECT_REF", secrecy::none);
  add("supabase_url", &settings::supabase_url, address_rule(),
      "Where supabase_project_ref is taken from unless it is set.", "SUPABASE_URL", secrecy::none);
  add("supabase_region", &settings::supabase_region, region_rule(),
      "The region of the project, which its session pooler's name has in it.", "SUPABASE_REGION", secrecy::none);
  add("supabase_db_password", &settings::supabase_db_password, secret_rule(),
      "The password of the project's database, as it is: it is not percent-encoded here.", "SUPABASE_DB_PASSWORD",
      secrecy::whole);
  add("supabase_key", &settings::supabase_key, secret_rule(),
      "The project's API key; PostgreSQL does not take it, and doctor tells its kind and length.", "SUPABASE_KEY",
      secrecy::whole);
  add("supabase_service_role_key", &settings::supabase_service_role_key, secret_rule(),
      "The project's API key for services; PostgreSQL does not take it, and doctor tells its kind and length.",
      "SUPABASE_SERVICE_ROLE_KEY", secrecy::whole);
}

void add_place_settings(std::vector<setting_descriptor>& table) {
  table.push_back(text_setting("schema", &settings::schema, identifier_rule(),
                               "The schema that holds Colloquy's tables.", {{"SUPABASE_SCHEMA"}}));
  const auto add_prefix = [&](std::string_view name, std::optional<std::string> settings::*member,
                              std::string_view meaning) {
    table.push_back(optional_text_setting(name, member, table_prefix_rule(), meaning));
  };
  add_prefix("sessions_table_prefix", &settings::sessions_table_prefix,
             "The prefix of the tables of a framework's sessions store, such as parlant_sessions_; colloquy migrate "
             "makes or adopts them. Unless set, its documents live in Colloquy's own table.");
  add_prefix("customers_table_prefix", &settings::customers_table_prefix,
             "The same for its customers store, such as parlant_customers_.");
  add_prefix("context_variables_table_prefix", &settings::context_variables_table_prefix,
             "The same for its context variables store, such as parlant_context_variables_.");
  table.push_back(path_setting("data_dir", &settings::data_dir, "${HOME}/.local/share/colloquy", path_rule(),
                               "The folder of the embedded server; unless set it is $XDG_DATA_HOME/colloquy, and where "
                               "that is not set either, .local/share/colloquy in the home folder."));
  table.push_back(optional_path_setting("postgres_bin_dir", &settings::postgres_bin_dir, optional_path_rule(),
                                        "The folder of PostgreSQL's own programs (initdb, postgres), for the embedded "
                                        "server."));
  table.push_back(text_setting("embedded_user", &settings::embedded_user, user_rule(),
                               "The system user that the embedded server runs as when Colloquy is started as root."));
  table.push_back(level_setting("log_level", &settings::log_level, "The least level that is logged.", {{"LOG_LEVEL"}}));
  table.push_back(choice_setting("log_format", &settings::log_format, {log_format::text, log_format::json},
                                 "How the log looks: lines of text, or one JSON object a line; lines about a "
                                 "conversation name its tenant, session, turn and trace id.",
                                 {{"LOG_FORMAT"}}));
  table.push_back(text_setting("application_name", &settings::application_name, application_name_rule(),
                               "What PostgreSQL shows as the name of our connections, before the part that each plays.",
                               {{"PGAPPNAME"}}));
}

void add_pool_settings(std::vector<setting_descriptor>& table) {
  table.push_back(text_setting("profile", &settings::profile, profile_rule(),
                               "Values for several settings at once, where those are not given themselves: a size "
                               "(small: pool 2 to 5, medium: 5 to 15, large: 10 to 30), what the agents are like "
                               "(interactive, monitoring, batch: their timeouts; persistent: those and a pool of 5 to "
                               "20), or one of each."));
  table.push_back(text_setting("pool_mode", &settings::pool_mode, pool_mode_rule(),
                               "How backends are held, for those who bring this name from elsewhere.",
                               {{"POOL_MODE"}}));
  table.push_back(count_setting("pool_min", &settings::pool_min, {1, 1000},
                                "How many connections are kept open at least; not more than pool_max, which its "
                                "default follows down.",
                                {{"DB_POOL_MIN"}}));
  table.push_back(count_setting("pool_max", &settings::pool_max, {2, 1000},
                                "How many connections are open at most; two at least, for a writer holds one and "
                                "reading needs another.",
                                {{"DB_POOL_MAX"}, {"POOL_SIZE"}}));
}

void add_timeout_settings(std::vector<setting_descriptor>& table) {
  table.push_back(duration_setting(
      "connect_timeout", &settings::connect_timeout, call_range, "How long connecting to the database may take.",
      {in_ms("DB_POOL_CONNECTION_TIMEOUT"), in_ms("CONNECTION_TIMEOUT"), in_seconds("PGCONNECT_TIMEOUT")}));
  table.push_back(duration_setting("acquire_timeout", &settings::acquire_timeout, call_range,
                                   "How long may be waited for a free connection; unless set it is connect_timeout."));
  table.push_back(duration_setting("statement_timeout", &settings::statement_timeout, statement_range,
                                   "How long one SQL statement may run before PostgreSQL ends it.",
                                   {in_ms("STATEMENT_TIMEOUT")}));
  table.push_back(duration_setting("idle_in_transaction_timeout", &settings::idle_in_transaction_timeout,
                                   statement_range,
                                   "How long a transaction may be open and idle before PostgreSQL ends its connection.",
                                   {in_ms("IDLE_IN_TRANSACTION_TIMEOUT")}));
  table.push_back(duration_setting("lock_timeout", &settings::lock_timeout, statement_range,
                                   "How long one SQL statement may wait for a lock before PostgreSQL ends it."));
  table.push_back(duration_setting(
      "pool_idle_timeout", &settings::pool_idle_timeout, {1s, 24h},
      "How long a connection beyond pool_min may be idle before it is closed.",
      {in_ms("DB_POOL_IDLE_TIMEOUT"), in_ms("DB_IDLE_TIMEOUT_MS"), in_ms("POOL_TIMEOUT"), in_ms("IDLE_TIMEOUT")}));
  table.push_back(duration_setting("pool_max_lifetime", &settings::pool_max_lifetime, {1s, 168h},
                                   "How old a connection may grow before another takes its place; a little more or "
                                   "less for each, so that they do not all go at once.",
                                   {in_ms("CONNECTION_MAX_LIFETIME")}));
}

/// How connections are watched, and kept or replaced.
void add_care_settings(std::vector<setting_descriptor>& table) {
  table.push_back(duration_setting("health_check_interval", &settings::health_check_interval, {1s, 1h},
                                   "How long a connection may be idle before it is asked whether it is well."));
  table.push_back(duration_setting("report_interval", &settings::report_interval, {1s, 24h},
                                   "How often the pool's numbers are logged, where monitoring is on."));
  table.push_back(duration_setting("reconnect_delay_first", &settings::reconnect_delay_first, {10ms, 10min},
                                   "How long after a failed attempt the next one to connect is made; each further "
                                   "failure doubles it, up to reconnect_delay_max, which its default follows down."));
  table.push_back(duration_setting("reconnect_delay_max", &settings::reconnect_delay_max, {10ms, 10min},
                                   "The longest time between two attempts to connect."));
  table.push_back(count_setting("reconnect_jitter_percent", &settings::reconnect_jitter_percent, {0, 100},
                                "By how much of itself, in percent, a time between attempts is made longer or shorter "
                                "at random, so that processes do not all come at once."));
  table.push_back(duration_setting("keepalive_idle", &settings::keepalive_idle, {1s, 2h},
                                   "How long a TCP connection may be silent before the system asks whether the other "
                                   "end is there; parts of a second are rounded up."));
  table.push_back(duration_setting("tcp_user_timeout", &settings::tcp_user_timeout, {1s, 1h},
                                   "How long what was sent may stay unacknowledged before a TCP connection is given "
                                   "up."));
  table.push_back(duration_setting("lease_idle_timeout", &settings::lease_idle_timeout, {1s, 24h},
                                   "How long a leased connection may be unused before the lease is ended."));
  table.push_back(duration_setting("lease_leak_after", &settings::lease_leak_after, {1s, 24h},
                                   "How long a leased connection may be unused before its owner is named in the log."));
  table.push_back(duration_setting("slow_statement_after", &settings::slow_statement_after, {1ms, 1h},
                                   "How long a statement may run before it is logged as slow, without its values."));
}

void add_bound_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("pool_waiters_max", &settings::pool_waiters_max, {1, 1'000'000},
                                "How many requests may wait for a connection at a time; past it callers are told to "
                                "retry."));
  table.push_back(count_setting("tenant_waiters_max", &settings::tenant_waiters_max, {1, 1'000'000},
                                "How many requests of one tenant may wait for a connection; not more than "
                                "pool_waiters_max, which its default follows down."));
  table.push_back(count_setting("tenant_backends_max", &settings::tenant_backends_max, {0, 1000},
                                "How many connections one tenant may use at a time; 0 for as many as pool_max."));
  table.push_back(count_setting("pipeline_depth", &settings::pipeline_depth, {1, 64},
                                "How many units of work one shared connection has under way at a time."));
  table.push_back(count_setting("statement_cache_max", &settings::statement_cache_max, {1, 100'000},
                                "How many prepared statements one connection keeps; the one not used for longest goes "
                                "first."));
  table.push_back(bool_setting("monitoring", &settings::monitoring,
                               "Whether the pool's numbers are logged each report_interval.",
                               {{"ENABLE_MCP_MONITORING"}}));
}

void add_writing_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("batch_events_max", &settings::batch_events_max, {1000, 100'000},
                                "How many events one batch to the database holds at most."));
  table.push_back(size_setting("batch_bytes_max", &settings::batch_bytes_max, {64 * kibibyte, 256 * mebibyte},
                               "How large one batch to the database may grow."));
  table.push_back(count_setting("batches_in_flight_max", &settings::batches_in_flight_max, {1, 16},
                                "How many batches of one writer may await their commit at a time."));
  table.push_back(size_setting("undurable_bytes_max", &settings::undurable_bytes_max, undurable_range,
                               "How much may be accepted and not yet durable, over all sessions; past it callers are "
                               "told to retry."));
  table.push_back(size_setting("tenant_undurable_bytes_max", &settings::tenant_undurable_bytes_max, undurable_range,
                               "How much of one tenant may be accepted and not yet durable, so that none takes all of "
                               "it; not more than undurable_bytes_max. Unless set it is half of that, or what one "
                               "session may have, if that is more."));
  table.push_back(size_setting("session_undurable_bytes_max", &settings::session_undurable_bytes_max, undurable_range,
                               "How much of one session may be accepted and not yet durable; not more than "
                               "undurable_bytes_max, which its default follows down, and than "
                               "tenant_undurable_bytes_max, if that is set."));
}

void add_journal_settings(std::vector<setting_descriptor>& table) {
  table.push_back(bool_setting("journal", &settings::journal,
                               "Whether what is accepted is on local disk before the answer says so, so that it "
                               "survives the end of the process before the database has it."));
  table.push_back(optional_path_setting("journal_path", &settings::journal_path, optional_path_rule(),
                                        "The file of the journal, one for each process; unless set it is journal.db in "
                                        "data_dir."));
  table.push_back(size_setting("journal_bytes_max", &settings::journal_bytes_max, undurable_range,
                               "How much the journal holds that is not yet durable; past it what is accepted waits for "
                               "the database instead."));
}

void add_session_settings(std::vector<setting_descriptor>& table) {
  table.push_back(count_setting("sessions_resident_max", &settings::sessions_resident_max, {1, 100'000'000},
                                "How many sessions may be in memory at a time."));
  table.push_back(size_setting("resident_bytes_max", &settings::resident_bytes_max, {4 * mebibyte, gibibyte * 1024},
                               "What idle sessions may take of memory; past it the least recently used leave."));
  table.push_back(size_setting("tail_cache_bytes_max", &settings::tail_cache_bytes_max, {mebibyte, gibibyte * 1024},
                               "What the ends of logs that are kept in memory may take, all sessions together."));
  table.push_back(duration_setting("session_idle_timeout", &settings::session_idle_timeout, {1s, 24h},
                                   "How long a session stays in memory after its last use."));
  table.push_back(bool_setting("sliding_expiry", &settings::sliding_expiry,
                               "Whether each use pushes a session's expiry away by its whole lifetime again."));
  table.push_back(duration_setting("expired_retention", &settings::expired_retention, {1s, 24h * 3650},
                                   "How long an expired session is kept before it is erased."));
  table.push_back(duration_setting("sweep_interval", &settings::sweep_interval, {100ms, 1h},
                                   "How often sessions whose time is up are looked for."));
  table.push_back(count_setting("turns_queued_max", &settings::turns_queued_max, {1, 10'000},
                                "How many requests may wait for their turn in one session."));
  table.push_back(duration_setting("request_timeout", &settings::request_timeout, call_range,
                                   "How long a request may take when its caller sets no deadline."));
  table.push_back(duration_setting("shutdown_timeout", &settings::shutdown_timeout, {100ms, 1h},
                                   "How long a shutdown waits for what is accepted to become durable."));
}

} // namespace

std::vector<setting_descriptor> make_table() {
  std::vector<setting_descriptor> table;
  add_database_settings(table);
  add_supabase_settings(table);
  add_place_settings(table);
  add_pool_settings(table);
  add_timeout_settings(table);
  add_care_settings(table);
  add_bound_settings(table);
  add_writing_settings(table);
  add_journal_settings(table);
  add_session_settings(table);
  add_database_session_settings(table);
  add_edge_settings(table);
  return table;
}

} // namespace colloquy::config
