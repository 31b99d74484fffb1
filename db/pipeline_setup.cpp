// What a pipeline_connection does for itself: the session's settings, and making a used session as new.
#include "db/pipeline_connection.hpp"

#include "db/symptoms.hpp"

#include <libpq-fe.h>

#include <utility>

namespace colloquy::db {
namespace {

constexpr std::uint64_t no_tag = 0;

constexpr oid apply_settings_types[] = {oids::text_array, oids::text_array};
constexpr statement apply_settings{
    "apply_settings",
    "SELECT pg_backend_pid(), set_config(s.name, s.value, false) FROM unnest($1, $2) AS s(name, value)",
    apply_settings_types};

constexpr oid read_settings_types[] = {oids::text_array};
constexpr statement read_settings{"read_settings",
                                  "SELECT pg_backend_pid(), current_setting(s.name) FROM unnest($1) AS s(name)",
                                  read_settings_types};

// The unnamed cursor is the one that this very statement runs in.
constexpr const char* count_leftovers =
    "SELECT (SELECT count(*) FROM pg_prepared_statements),"
    " (SELECT count(*) FROM pg_listening_channels()),"
    " (SELECT count(*) FROM pg_cursors WHERE name <> ''),"
    " (SELECT count(*) FROM pg_locks WHERE pid = pg_backend_pid() AND locktype = 'advisory'),"
    " (SELECT count(*) FROM pg_class WHERE relnamespace = pg_my_temp_schema() AND relkind <> 't'),"
    " (SELECT count(*) FROM pg_settings WHERE source = 'session'),"
    " (current_user <> session_user)::int::bigint";
constexpr const char* leftover_names[] = {"prepared statements", "LISTENs",  "cursors", "advisory locks",
                                          "temporary tables",    "settings", "role"};

std::string milliseconds_text(std::chrono::milliseconds value) {
  return std::to_string(value.count()) + "ms";
}

std::string quoted_identifier(const std::string& name) {
  std::string out = "\"";
  for (char c : name) {
    if (c == '"')
      out.push_back('"');
    out.push_back(c);
  }
  return out + '"';
}

db_failure transaction_mode_failure(const std::string& what) {
  return {failure_kind::fault, "", what, find_symptom("42P05", "prepared statement already exists")};
}

} // namespace

connection_target service_target(std::string conninfo, const std::string& schema, const std::string& application_name,
                                 const session_timeouts& timeouts) {
  return {std::move(conninfo),
          {{"role", "colloquy_service"},
           {"search_path", quoted_identifier(schema) + ", pg_temp"},
           {"application_name", application_name},
           {"statement_timeout", milliseconds_text(timeouts.statement)},
           {"idle_in_transaction_session_timeout", milliseconds_text(timeouts.idle_in_transaction)},
           {"lock_timeout", milliseconds_text(timeouts.lock)},
           {"synchronous_commit", "on"},
           // Arrays of any length come as parameters; planning anew for each would cost more than it could gain. A plan
           // made while a table was empty must still be right when it is large, so whatever reads whole tables is out.
           {"plan_cache_mode", "force_generic_plan"},
           {"enable_seqscan", "off"},
           {"enable_bitmapscan", "off"},
           {"enable_hashjoin", "off"},
           {"enable_mergejoin", "off"},
           {"jit", "off"},
           {"client_min_messages", "warning"}}};
}

void pipeline_connection::begin_setup() {
  if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) != 1)
    return fail_from_connection("cannot enter pipeline mode");
  phase_ = phase::setting_up;
  send_settings();
}

/// Sets them, and reads them back in a transaction of its own: what a pooler does not keep shows there.
void pipeline_connection::send_settings() {
  array_builder names(oids::text, target_.settings.size(), 0), values(oids::text, target_.settings.size(), 0);
  for (const auto& [name, value] : target_.settings) {
    names.add(name);
    values.add(value);
  }
  const auto encoded_names = std::move(names).finish();
  send(no_tag, role::apply_settings, {{{&apply_settings, {encoded_names, std::move(values).finish()}}}});
  if (!broken_)
    send(no_tag, role::read_settings, {{{&read_settings, {encoded_names}}}});
}

void pipeline_connection::reset_session(std::uint64_t tag) {
  if (broken_) {
    finished_.push_back({tag, {{}, broken_}});
    return;
  }
  reset_tag_ = tag;
  if (in_transaction())
    send_own(role::discard, "ROLLBACK");
  send_own(role::discard, "DISCARD ALL");
  statements_.clear();
  send_own(role::check_clean, count_leftovers);
  if (!broken_)
    send_settings();
}

void pipeline_connection::finish_own(role part, unit_outcome outcome) {
  if (part == role::deallocate)
    return; // at worst the server keeps one more
  if (outcome.failure)
    return fail(std::move(*outcome.failure));
  std::optional<db_failure> problem;
  if (part == role::check_clean)
    problem = find_leftovers(outcome);
  else if (part == role::apply_settings)
    problem = take_applied(outcome);
  else if (part == role::read_settings)
    problem = compare_settings(outcome);
  if (problem)
    return fail(std::move(*problem));
  if (part == role::read_settings)
    finish_setup();
}

std::optional<db_failure> pipeline_connection::take_applied(const unit_outcome& outcome) {
  const auto& set = outcome.results.back();
  applied_.clear();
  for (int row = 0; row < set.count(); ++row) {
    backend_pid_ = decode_int4(set.get(row, 0));
    applied_.emplace_back(set.get(row, 1));
  }
  if (applied_.size() != target_.settings.size())
    return db_failure{failure_kind::fault, "", "the server did not answer for each setting of the session"};
  return std::nullopt;
}

std::string_view pipeline_connection::setting(std::string_view name) const noexcept {
  for (std::size_t i = 0; i < applied_.size(); ++i)
    if (target_.settings[i].first == name)
      return applied_[i];
  return "";
}

std::optional<db_failure> pipeline_connection::compare_settings(const unit_outcome& outcome) {
  const auto& read = outcome.results.back();
  for (int row = 0; row < read.count(); ++row) {
    const auto at = static_cast<std::size_t>(row);
    if (decode_int4(read.get(row, 0)) != backend_pid_)
      return transaction_mode_failure("another backend answered the second transaction of one connection: a pooler in "
                                      "transaction mode");
    if (at >= applied_.size() || read.get(row, 1) != applied_[at])
      return transaction_mode_failure("the session did not keep its setting " + target_.settings[at].first);
  }
  return std::nullopt;
}

std::optional<db_failure> pipeline_connection::find_leftovers(const unit_outcome& outcome) {
  const auto& counts = outcome.results.back();
  for (int column = 0; column < counts.columns(); ++column)
    if (decode_int8(counts.get(0, column)) != 0)
      return db_failure{failure_kind::fault, "",
                        std::string("the last owner's ") + leftover_names[column] + " survived DISCARD ALL"};
  return std::nullopt;
}

void pipeline_connection::finish_setup() {
  if (reset_tag_) {
    finished_.push_back({*std::exchange(reset_tag_, std::nullopt), {}});
    return;
  }
  phase_ = phase::ready;
  while (!waiting_.empty() && !broken_) {
    auto [tag, work] = std::move(waiting_.front());
    waiting_.pop_front();
    send(tag, role::work, work);
  }
}

} // namespace colloquy::db
