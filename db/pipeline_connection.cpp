#include "db/pipeline_connection.hpp"

#include <libpq-fe.h>

#include <openssl/ssl.h>

#include <utility>

namespace colloquy::db {
namespace {

constexpr std::uint64_t setup_tag = 0;

constexpr oid apply_settings_types[] = {oids::text_array, oids::text_array};
constexpr statement apply_settings{
    "apply_settings",
    "SELECT pg_backend_pid(), count(set_config(s.name, s.value, false)) FROM unnest($1, $2) AS s(name, value)",
    apply_settings_types};

/// libpq's words on one line.
std::string one_line(const char* text) {
  std::string out;
  for (const char* at = text ? text : ""; *at; ++at) {
    if (*at != '\n' && *at != '\t')
      out.push_back(*at);
    else if (!out.empty() && out.back() != ' ')
      out.push_back(' ');
  }
  while (!out.empty() && out.back() == ' ')
    out.pop_back();
  return out;
}

db_failure failure_of(const PGresult* result) {
  const char* sqlstate = PQresultErrorField(result, PG_DIAG_SQLSTATE);
  const char* primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
  db_failure failure;
  failure.sqlstate = sqlstate ? sqlstate : "";
  failure.message = primary ? primary : one_line(PQresultErrorMessage(result));
  failure.kind = failure.sqlstate.empty() ? failure_kind::connection_lost : classify_sqlstate(failure.sqlstate);
  return failure;
}

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

} // namespace

connection_target service_target(std::string conninfo, const std::string& schema, const std::string& application_name,
                                 std::chrono::milliseconds statement_timeout,
                                 std::chrono::milliseconds idle_in_transaction_timeout) {
  return {std::move(conninfo),
          {{"role", "colloquy_service"},
           {"search_path", quoted_identifier(schema) + ", pg_temp"},
           {"application_name", application_name},
           {"statement_timeout", milliseconds_text(statement_timeout)},
           {"idle_in_transaction_session_timeout", milliseconds_text(idle_in_transaction_timeout)},
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

void pipeline_connection::closer::operator()(pg_conn* connection) const noexcept {
  PQfinish(connection);
}

pipeline_connection::pipeline_connection(pg_conn* connection, connection_target target)
  : connection_(connection)
  , target_(std::move(target)) {}

pipeline_connection::~pipeline_connection() = default;

result<std::unique_ptr<pipeline_connection>> pipeline_connection::start(const connection_target& target) {
  // gssencmode: its negotiation blocks. Keepalives find a dead peer in about half a minute instead of hours.
  static constexpr const char* keywords[] = {
      "dbname",           "gssencmode", "client_encoding", "keepalives_idle", "keepalives_interval", "keepalives_count",
      "tcp_user_timeout", nullptr};
  const char* values[] = {target.conninfo.c_str(), "disable", "UTF8", "10", "5", "3", "30000", nullptr};
  PGconn* raw = PQconnectStartParams(keywords, values, /*expand_dbname=*/1);
  if (!raw)
    return error{error_code::database_unavailable, "no memory for a connection"};
  std::unique_ptr<pipeline_connection> connection(new pipeline_connection(raw, target));
  if (PQstatus(raw) == CONNECTION_BAD)
    return error{error_code::database_unavailable, one_line(PQerrorMessage(raw))};
  PQsetNoticeProcessor(
      raw, [](void*, const char*) {}, nullptr);
  return connection;
}

bool pipeline_connection::connected() const noexcept {
  return phase_ == phase::setting_up || phase_ == phase::ready;
}

bool pipeline_connection::ready() const noexcept {
  return phase_ == phase::ready;
}

int pipeline_connection::socket() const noexcept {
  return PQsocket(connection_.get());
}

io_need pipeline_connection::advance() {
  switch (phase_) {
  case phase::connecting:
    return advance_connecting();
  case phase::setting_up:
  case phase::ready:
    return exchange();
  case phase::broken:
    break;
  }
  return io_need::none;
}

io_need pipeline_connection::advance_connecting() {
  // A start counts as if the last poll had asked for writing; the first call then finds the socket not yet ready and
  // says so.
  switch (PQconnectPoll(connection_.get())) {
  case PGRES_POLLING_READING:
    return io_need::read;
  case PGRES_POLLING_WRITING:
    return io_need::write;
  case PGRES_POLLING_OK:
    send_setup();
    return broken_ ? io_need::none : exchange();
  default:
    fail_from_connection("cannot connect");
    return io_need::none;
  }
}

void pipeline_connection::send_setup() {
  if (PQsetnonblocking(connection_.get(), 1) != 0 || PQenterPipelineMode(connection_.get()) != 1)
    return fail_from_connection("cannot enter pipeline mode");
  phase_ = phase::setting_up;
  array_builder names(oids::text, target_.settings.size(), 0), values(oids::text, target_.settings.size(), 0);
  for (const auto& [name, value] : target_.settings) {
    names.add(name);
    values.add(value);
  }
  send(setup_tag, {{{&apply_settings, {std::move(names).finish(), std::move(values).finish()}}}});
}

void pipeline_connection::finish_setup(unit_outcome outcome) {
  if (outcome.failure)
    return fail(std::move(*outcome.failure));
  backend_pid_ = decode_int4(outcome.results.back().get(0, 0));
  phase_ = phase::ready;
  while (!waiting_.empty() && !broken_) {
    auto [tag, work] = std::move(waiting_.front());
    waiting_.pop_front();
    send(tag, work);
  }
}

void pipeline_connection::submit(std::uint64_t tag, unit work) {
  if (broken_)
    finished_.push_back({tag, {{}, db_failure{failure_kind::wait, "", "the connection is gone"}}});
  else if (phase_ == phase::ready)
    send(tag, work);
  else
    waiting_.emplace_back(tag, std::move(work));
}

void pipeline_connection::send(std::uint64_t tag, const unit& work) {
  in_flight_.push_back({});
  auto& state = in_flight_.back();
  state.tag = tag;
  for (const auto& call : work.calls)
    if (!send_call(call, state))
      return fail_from_connection("cannot send");
  if (PQpipelineSync(connection_.get()) != 1)
    fail_from_connection("cannot send");
}

bool pipeline_connection::send_call(const statement_call& call, unit_in_flight& state) {
  const statement& what = *call.what;
  if (prepared_.insert(&what).second) {
    if (PQsendPrepare(connection_.get(), what.name, what.sql, static_cast<int>(what.parameter_types.size()),
                      what.parameter_types.data()) != 1)
      return false;
    state.commands.push_back({&what});
  }
  const auto count = call.parameters.size();
  std::vector<const char*> values(count, nullptr);
  std::vector<int> lengths(count, 0);
  const std::vector<int> formats(count, 1);
  for (std::size_t i = 0; i < count; ++i) {
    if (!call.parameters[i])
      continue;
    values[i] = call.parameters[i]->data();
    lengths[i] = static_cast<int>(call.parameters[i]->size());
  }
  state.commands.push_back({});
  return PQsendQueryPrepared(connection_.get(), what.name, static_cast<int>(count), values.data(), lengths.data(),
                             formats.data(), /*resultFormat=*/1) == 1;
}

io_need pipeline_connection::exchange() {
  for (;;) {
    if (PQflush(connection_.get()) < 0)
      return fail_from_connection("cannot send"), io_need::none;
    const bool alive = PQconsumeInput(connection_.get()) == 1;
    take_results();
    drain_notifications();
    if (!alive)
      fail_from_connection("connection lost");
    if (broken_)
      return io_need::none;
    auto* ssl = static_cast<SSL*>(PQsslStruct(connection_.get(), "OpenSSL"));
    if (ssl && SSL_pending(ssl) > 0) // decrypted bytes that the socket will not tell of
      continue;
    // The end of the setup may have put waiting units into the buffer just now. And sending can read: a reply may be
    // in libpq's hands while the socket stays silent, so there is no waiting before that is ruled out.
    const int unsent = PQflush(connection_.get());
    if (unsent < 0)
      return fail_from_connection("cannot send"), io_need::none;
    if (!in_flight_.empty() && !PQisBusy(connection_.get()))
      continue;
    return unsent > 0 ? io_need::read_write : io_need::read;
  }
}

void pipeline_connection::take_results() {
  while (!broken_ && !in_flight_.empty() && !PQisBusy(connection_.get())) {
    if (PGresult* result = PQgetResult(connection_.get()))
      take_result(result);
    else if (in_flight_.front().command_answered)
      end_command();
    else if (PQstatus(connection_.get()) == CONNECTION_BAD)
      fail_from_connection("connection lost");
    else
      fail({failure_kind::connection_lost, "", "the connection's answers are out of step with its units"});
  }
}

void pipeline_connection::take_result(pg_result* raw) {
  std::shared_ptr<PGresult> result(raw, PQclear);
  auto& front = in_flight_.front();
  switch (PQresultStatus(raw)) {
  case PGRES_PIPELINE_SYNC: {
    auto done = std::move(front);
    in_flight_.pop_front();
    if (done.tag == setup_tag)
      finish_setup(std::move(done.outcome));
    else
      finished_.push_back({done.tag, std::move(done.outcome)});
    return;
  }
  case PGRES_COMMAND_OK:
  case PGRES_TUPLES_OK:
    front.command_answered = true;
    if (!front.commands.empty() && !front.commands.front().prepares)
      front.outcome.results.emplace_back(std::move(result));
    return;
  case PGRES_PIPELINE_ABORTED:
    front.command_answered = true;
    if (!front.commands.empty() && front.commands.front().prepares)
      prepared_.erase(front.commands.front().prepares);
    return;
  default:
    front.command_answered = true;
    if (!front.commands.empty() && front.commands.front().prepares)
      prepared_.erase(front.commands.front().prepares);
    if (!front.outcome.failure)
      front.outcome.failure = failure_of(raw);
    return;
  }
}

void pipeline_connection::end_command() {
  auto& front = in_flight_.front();
  front.command_answered = false;
  if (!front.commands.empty())
    front.commands.pop_front();
  if (PQstatus(connection_.get()) == CONNECTION_BAD)
    fail_from_connection("connection lost");
}

void pipeline_connection::fail_from_connection(std::string what) {
  if (broken_)
    return;
  auto detail = one_line(PQerrorMessage(connection_.get()));
  db_failure why{failure_kind::connection_lost, "", std::move(what)};
  // What the server said last, as in "terminating connection due to administrator command", is worth more.
  if (!in_flight_.empty() && in_flight_.front().outcome.failure)
    why.message += ": " + in_flight_.front().outcome.failure->message;
  else if (!detail.empty())
    why.message += ": " + detail;
  fail(std::move(why));
}

void pipeline_connection::fail(db_failure why) {
  if (broken_)
    return;
  phase_ = phase::broken;
  broken_ = std::move(why);
  for (auto& state : in_flight_)
    if (state.tag != setup_tag)
      finished_.push_back({state.tag, {{}, db_failure{failure_kind::connection_lost, "", broken_->message}}});
  in_flight_.clear();
  for (auto& [tag, work] : waiting_) // never sent, so nothing of it was done
    finished_.push_back({tag, {{}, db_failure{failure_kind::wait, "", broken_->message}}});
  waiting_.clear();
}

void pipeline_connection::drain_notifications() {
  while (PGnotify* notification = PQnotifies(connection_.get()))
    PQfreemem(notification);
}

std::vector<pipeline_connection::finished_unit> pipeline_connection::take_finished() {
  return std::exchange(finished_, {});
}

} // namespace colloquy::db
