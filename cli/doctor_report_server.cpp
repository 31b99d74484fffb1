#include "cli/doctor_report_server.hpp"

#include "db/migrator_session.hpp"
#include "db/roles.hpp"

#include <algorithm>
#include <cstdlib>
#include <vector>

namespace colloquy::cli {
namespace {

using nlohmann::ordered_json;
using namespace db::doctor;
using std::chrono::milliseconds;

constexpr int version_min = 150000;
constexpr int version_with_set_option = 160000;

/// For a person: "250 ms", "12 s", "3 min", "5 h".
std::string duration_text(milliseconds time) {
  const auto count = time.count();
  if (count < 1000)
    return std::to_string(count) + " ms";
  if (count < 120'000)
    return std::to_string(count / 1000) + " s";
  return count < 7'200'000 ? std::to_string(count / 60'000) + " min" : std::to_string(count / 3'600'000) + " h";
}

std::string joined(const std::vector<std::string>& parts, std::string_view between = ", ") {
  std::string out;
  for (const auto& part : parts)
    out += (out.empty() ? "" : std::string(between)) + part;
  return out;
}

/// The first few, and how many more there are.
std::string shortened(const std::vector<std::string>& parts) {
  constexpr std::size_t shown = 4;
  if (parts.size() <= shown)
    return joined(parts);
  return joined({parts.begin(), parts.begin() + shown}) + " and " + std::to_string(parts.size() - shown) + " more";
}

// ---- rights

std::string grant(const std::string& role, const std::string& login, int server_version) {
  return "GRANT " + role + " TO " + db::quote_identifier(login) +
         (server_version >= version_with_set_option ? " WITH SET TRUE, INHERIT FALSE;" : ";");
}

// ---- connections

std::int64_t percent_used(const usage_facts& facts) {
  return facts.available() > 0 ? facts.used * 100 / facts.available() : 100;
}

ordered_json details_of(const usage_facts& facts) {
  ordered_json states = ordered_json::array();
  for (const auto& each : facts.states)
    states.push_back({{"state", each.state}, {"count", each.count}, {"longest_ms", each.longest.count()}});
  return {{"used", facts.used},
          {"max_connections", facts.max_connections},
          {"superuser_reserved_connections", facts.superuser_reserved},
          {"reserved_connections", facts.reserved},
          {"available", facts.available()},
          {"percent", percent_used(facts)},
          {"ours", facts.ours},
          {"states", std::move(states)},
          {"idle_in_transaction", facts.idle_in_transaction},
          {"idle_in_transaction_longest_ms", facts.idle_in_transaction_longest.count()},
          {"older_than_1_h", facts.long_lived},
          {"oldest_ms", facts.oldest.count()},
          {"role_limit", facts.role_limit},
          {"database_limit", facts.database_limit}};
}

void judge_share(const usage_facts& facts, probe_result& result) {
  const auto percent = percent_used(facts);
  if (percent < connections_many)
    return;
  result.worsen(probe_status::warn);
  result.advise(percent >= connections_nearly_all
                    ? "Nearly no connection is left: end those that nobody uses, lower pool_max here or elsewhere, or "
                      "raise max_connections (Supabase: a larger compute tier), before somebody is refused."
                    : "Most connections are taken: see who holds them (SELECT usename, application_name, state, "
                      "count(*) FROM pg_stat_activity GROUP BY 1, 2, 3), and run `colloquy doctor --advise`.");
}

void judge_idle_in_transaction(const usage_facts& facts, const connection_wishes& wishes, probe_result& result) {
  if (facts.idle_in_transaction == 0)
    return;
  result.say(std::to_string(facts.idle_in_transaction) + " idle in transaction, the longest for " +
             duration_text(facts.idle_in_transaction_longest));
  if (facts.idle_in_transaction_longest <= wishes.idle_in_transaction_timeout)
    return;
  result.worsen(probe_status::warn);
  result.advise("Somebody leaves transactions open, which holds locks and keeps vacuum from its work: find out who "
                "(SELECT pid, usename, application_name, state_change FROM pg_stat_activity WHERE state LIKE 'idle in "
                "transaction%'), and set idle_in_transaction_session_timeout there.");
}

void judge_room(const usage_facts& facts, const connection_wishes& wishes, probe_result& result) {
  const auto wanted = static_cast<std::int64_t>(wishes.pool_max);
  const auto left = std::max<std::int64_t>(0, facts.available() - facts.used + facts.ours);
  if (wanted > left) {
    result.worsen(probe_status::warn);
    result.advise("pool_max is " + std::to_string(wanted) + ", but the server has " + std::to_string(left) +
                  " connections for us: lower it, or run `colloquy doctor --advise`.");
  }
  const std::pair<const char*, std::int64_t> limits[] = {{"role", facts.role_limit},
                                                         {"database", facts.database_limit}};
  for (const auto& [whose, limit] : limits)
    if (limit >= 0 && limit < wanted) {
      result.worsen(probe_status::warn);
      result.advise("pool_max is " + std::to_string(wanted) + ", but the " + whose + " has a connection limit of " +
                    std::to_string(limit) + ": lower the one or raise the other.");
    }
}

// ---- schema

std::string advice_of(const error& why) {
  if (why.message.find('\n') != std::string::npos) // with what an administrator must run
    return why.message;
  if (why.code == error_code::deadline_exceeded)
    return "Somebody holds a lock on schema_migrations, or the server is overloaded: SELECT pid, "
           "pg_blocking_pids(pid), "
           "state, query FROM pg_stat_activity shows which.";
  if (why.code == error_code::database_unavailable)
    return "A further connection was not to be had: the probes above say why.";
  return "Run `colloquy migrate` with the same settings, or choose another schema.";
}

void judge_record(const db::schema_state& state, probe_result& result) {
  result.details["version"] = state.version;
  result.details["version_needed"] = state.version_needed;
  const auto complain = [&](const std::vector<std::string>& lines, const char* name, const std::string& sentence,
                            const std::string& advice) {
    if (lines.empty())
      return;
    result.worsen(probe_status::fail);
    result.say(sentence + shortened(lines));
    result.details[name] = lines;
    result.advise(advice);
  };
  complain(state.missing, "migrations_missing", "migrations are missing: ",
           "Run `colloquy migrate` with the same "
           "settings.");
  complain(state.newer, "migrations_newer", "it is newer than this program, which does not know ",
           "Use the newer program.");
  complain(state.changed, "migrations_changed", "it was not made by this program's migrations: ",
           "Choose another schema, or the program that made this one.");
  complain(state.rights, "rights_missing", "rights are missing: ",
           "Run `colloquy migrate` as the owner, or as administrator:\n" + joined(state.rights, "\n"));
  complain(state.unsafe, "roles_unsafe",
           "the roles may do too much: ", "As administrator:\n" + joined(state.unsafe, "\n"));
}

void judge_catalog(const schema_facts& facts, probe_result& result) {
  if (facts.catalog_failure) {
    auto refused = failed("schema", *facts.catalog_failure);
    result.worsen(probe_status::fail);
    result.say(refused.summary);
    return result.advise(refused.advice);
  }
  result.details["looked_for"] = facts.expected;
  const bool is_migrated = !facts.state || facts.state->missing.empty();
  if (!facts.missing.empty() && is_migrated) { // else it is no news
    result.worsen(probe_status::fail);
    result.say("missing: " + shortened(facts.missing));
    result.advise(
        "Run `colloquy migrate` with the same settings: it makes and mends the tables of stores that have a "
        "prefix. What is missing then somebody has dropped: restore it as `colloquy migrate --print-sql` shows "
        "it, or restore a backup.");
  }
  result.details["missing"] = facts.missing;
  if (facts.invalid.empty())
    return;
  result.worsen(probe_status::warn);
  result.say("indexes that are not valid: " + shortened(facts.invalid));
  result.details["invalid"] = facts.invalid;
  result.advise("The server does not use these indexes: REINDEX INDEX CONCURRENTLY each of them.");
}

} // namespace

probe_result judge_pooling(const pooling_facts& facts) {
  if (facts.failure)
    return failed("pooler", *facts.failure);
  probe_result result{"pooler", probe_status::ok, ""};
  const auto mode = facts.pools_by_transaction() ? db::pooling_mode::transaction : db::pooling_mode::session;
  result.details = {{"kind", db::to_string(facts.kind)},
                    {"mode", db::to_string(mode)},
                    {"reported_pid", facts.reported_pid},
                    {"backend_pid", facts.backend_pid}};
  const bool is_pooler = facts.kind == db::endpoint_kind::supavisor || facts.kind == db::endpoint_kind::pgbouncer;
  result.say(std::string(db::to_string(facts.kind)) + (is_pooler ? "" : ", no pooler in between") + ", " +
             std::string(db::to_string(mode)) + " mode");
  if (facts.pools_by_transaction()) {
    result.worsen(probe_status::fail);
    const auto kind = is_pooler ? facts.kind : db::endpoint_kind::pgbouncer;
    result.advise(db::explain_transaction_mode(kind, facts.host, facts.port) + ".");
  } else if (facts.second_failure) {
    const auto refused = failed("pooler", *facts.second_failure);
    result.worsen(probe_status::warn);
    result.say("a second connection was not to be had: " + refused.summary);
    result.details["second_connection"] = refused.details;
    result.advise(refused.advice);
  }
  return result;
}

probe_result judge_version(const version_facts& facts) {
  if (facts.failure)
    return failed("version", *facts.failure);
  probe_result result{"version", probe_status::ok, "PostgreSQL " + facts.text};
  result.details = {{"version", facts.text},
                    {"number", facts.number},
                    {"encoding", facts.encoding},
                    {"in_recovery", facts.in_recovery},
                    {"read_only", facts.read_only}};
  const auto refuse = [&](std::string_view what, std::string_view advice) {
    result.worsen(probe_status::fail);
    result.say(what);
    result.advise(advice);
  };
  if (facts.number < version_min)
    refuse("15 or later is needed", "Upgrade the server to PostgreSQL 15 or later.");
  if (facts.encoding != "UTF8")
    refuse("the database's encoding is " + facts.encoding,
           "Make a database with ENCODING 'UTF8' and TEMPLATE template0, and name it in the connection string.");
  if (facts.in_recovery)
    refuse("it is a standby, which takes no writes",
           "Connect to the primary, or name all hosts in one list with target_session_attrs=read-write.");
  else if (facts.read_only)
    refuse("it has been made read-only", "See why (Supabase: mostly because the disk is full), make room, and set "
                                         "default_transaction_read_only to off.");
  return result;
}

probe_result judge_rights(const rights_facts& facts, int server_version) {
  if (facts.failure)
    return failed("rights", *facts.failure);
  probe_result result{"rights", probe_status::ok, ""};
  result.details["login"] = facts.login;
  std::vector<std::string> missing, unreachable, grants;
  for (const auto& role : facts.roles) {
    result.details["roles"].push_back({{"role", role.name}, {"exists", role.exists}, {"reachable", role.reachable}});
    if (!role.exists)
      missing.push_back(role.name);
    else if (!role.reachable) {
      unreachable.push_back(role.name);
      grants.push_back(grant(role.name, facts.login, server_version));
    }
  }
  if (!missing.empty()) {
    result.worsen(probe_status::fail);
    result.say("there is no role " + joined(missing));
    result.advise("Run `colloquy migrate` as a login that may create roles, or have an administrator run what "
                  "`colloquy migrate --print-sql` prints.");
  }
  if (!unreachable.empty()) {
    result.worsen(probe_status::fail);
    result.say(facts.login + " may not become " + joined(unreachable));
    result.advise(db::for_administrator("The login cannot work as the service", grants));
    result.details["grants"] = grants;
  }
  if (facts.is_superuser) {
    result.worsen(probe_status::warn);
    result.say(facts.login + " is a superuser");
    result.advise("Log in as a role of its own that is no superuser: SQL that comes through a lease could else do "
                  "anything.");
  }
  if (result.summary.empty())
    result.say(facts.login + " may become colloquy_service and colloquy_system");
  return result;
}

probe_result judge_settings(const settings_facts& facts) {
  if (facts.failure)
    return failed("settings", *facts.failure);
  static constexpr std::string_view shown[] = {"statement_timeout", "idle_in_transaction_session_timeout",
                                               "lock_timeout", "search_path", "synchronous_commit"};
  probe_result result{"settings", probe_status::ok, ""};
  std::vector<std::string> in_force, lost;
  for (const auto& each : facts.settings) {
    result.details[each.name] = {{"wanted", each.wanted}, {"in_force", each.read_back}};
    if (std::find(std::begin(shown), std::end(shown), each.name) != std::end(shown))
      in_force.push_back(each.name + " " + each.read_back);
    if (each.read_back != each.applied)
      lost.push_back(each.name + " was " + each.applied + " and is " + each.read_back);
  }
  result.say(joined(in_force));
  if (lost.empty())
    return result;
  result.worsen(probe_status::fail);
  result.summary = "not kept from one transaction to the next: " + joined(lost);
  result.advise("Something between here and the server does not keep a session's settings: connect to a pooler in "
                "session mode, or to the server itself.");
  return result;
}

probe_result judge_clocks(const clock_facts& facts) {
  if (facts.failure)
    return failed("clocks", *facts.failure);
  probe_result result{"clocks", probe_status::ok, ""};
  const auto apart = milliseconds{std::abs(facts.ahead.count())};
  result.details = {{"ahead_ms", facts.ahead.count()}, {"uncertainty_ms", facts.uncertainty.count()}};
  result.say("the server's clock is " + duration_text(apart) + (facts.ahead.count() < 0 ? " behind" : " ahead of") +
             " ours, give or take " + duration_text(facts.uncertainty));
  if (apart - facts.uncertainty <= clock_difference_max)
    return result;
  result.worsen(probe_status::warn);
  result.advise("Set both clocks by a time service (timedatectl set-ntp true): certificates, tokens and expiry times "
                "are judged by both.");
  return result;
}

probe_result judge_usage(const usage_facts& facts, const connection_wishes& wishes) {
  if (facts.failure)
    return failed("connections", *facts.failure);
  probe_result result{"connections", probe_status::ok,
                      std::to_string(facts.used) + " of " + std::to_string(facts.available()) + " in use (" +
                          std::to_string(percent_used(facts)) + " %), ours " + std::to_string(facts.ours)};
  result.details = details_of(facts);
  judge_share(facts, result);
  judge_idle_in_transaction(facts, wishes, result);
  judge_room(facts, wishes, result);
  if (facts.long_lived > 0)
    result.say(std::to_string(facts.long_lived) + " older than 1 h, the oldest " + duration_text(facts.oldest));
  const bool is_hidden = std::any_of(facts.states.begin(), facts.states.end(),
                                     [](const auto& each) { return each.state == "not visible"; });
  if (is_hidden)
    result.say("others' states are visible only with GRANT pg_read_all_stats");
  return result;
}

probe_result judge_schema(const schema_facts& facts, const std::string& schema) {
  probe_result result{"schema", probe_status::ok, ""};
  result.details["schema"] = schema;
  if (facts.failure) {
    result.worsen(probe_status::fail);
    result.say(facts.failure->message.substr(0, facts.failure->message.find('\n')));
    result.advise(advice_of(*facts.failure));
  }
  if (facts.state)
    judge_record(*facts.state, result);
  judge_catalog(facts, result);
  if (result.summary.empty())
    result.say(schema + " is complete, at version " + std::to_string(facts.state->version));
  return result;
}

probe_result judge_writing(const write_facts& facts) {
  if (facts.failure) {
    auto result = failed("read_write", *facts.failure);
    result.summary = facts.step + ": " + result.summary;
    result.took = facts.took;
    return result;
  }
  probe_result result{"read_write", probe_status::ok, ""};
  result.took = facts.took;
  result.details = {{"found_again", facts.found_again},
                    {"hidden_from_others", facts.hidden_from_others},
                    {"rolled_back", facts.rolled_back}};
  const auto refuse = [&](bool is_good, std::string_view what, std::string_view advice) {
    if (is_good)
      return;
    result.worsen(probe_status::fail);
    result.say(what);
    result.advise(advice);
  };
  refuse(facts.found_again, "what was written was not found again",
         "A policy or trigger that is not ours stands in the way: compare with `colloquy migrate --print-sql`.");
  refuse(facts.hidden_from_others, "another tenant could see what was written",
         "Row level security does not hold: stop, and compare tables, policies and roles with `colloquy migrate "
         "--print-sql`.");
  refuse(facts.rolled_back, "the rolling back was not confirmed",
         "Look whether tenant colloquy-doctor has sessions, and delete them.");
  if (result.summary.empty())
    result.say("a session and an event written, read, hidden from other tenants, and rolled back");
  return result;
}

probe_result judge_dashboard(bool is_supabase) {
  probe_result result{"dashboard", probe_status::skip,
                      "not visible from here: CPU, memory, disk space and I/O of the server, and the pool size and "
                      "clients of a pooler"};
  result.details["not_visible"] = {"cpu", "memory", "disk_space", "disk_io", "pooler_pool_size", "pooler_clients"};
  result.advise(
      is_supabase ? "Look at Supabase's dashboard: Reports, Database (CPU, memory, disk and its I/O budget, client "
                    "connections), and Database, Connection pooling (pool size, at most what the compute tier allows)."
                  : "Look at the provider's dashboard, or on the server at top, free -h, df -h and iostat -x; for "
                    "PgBouncer at SHOW POOLS and SHOW CONFIG on its console.");
  return result;
}

} // namespace colloquy::cli
