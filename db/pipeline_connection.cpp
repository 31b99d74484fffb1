#include "db/pipeline_connection.hpp"

#include "db/libpq_handles.hpp"
#include "db/symptoms.hpp"

#include <libpq-fe.h>

#include <openssl/ssl.h>

#include <utility>

namespace colloquy::db {
namespace {

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
  return make_failure(sqlstate ? sqlstate : "", primary ? primary : one_line(PQresultErrorMessage(result)));
}

/// The server no longer has the statement, or has it for a table that has changed since.
bool lost_its_plan(const db_failure& failure) {
  return failure.sqlstate == "26000" ||
         (failure.sqlstate == "0A000" && failure.message.find("cached plan") != std::string::npos);
}

} // namespace

// --- cancelling ------------------------------------------------------------------------------------------------------

cancel_request::cancel_request(pg_cancel* request)
  : request_(request, PQfreeCancel) {}

result<void> cancel_request::run() const {
  char why[256] = "";
  if (PQcancel(request_.get(), why, sizeof why) != 1)
    return error{error_code::database_unavailable, "cannot cancel: " + one_line(why)};
  return {};
}

result<cancel_request> pipeline_connection::make_cancel_request() const {
  PGcancel* raw = connected() ? PQgetCancel(connection_.get()) : nullptr;
  if (!raw)
    return error{error_code::database_unavailable, "cannot cancel: not connected"};
  return cancel_request(raw);
}

// --- the connection --------------------------------------------------------------------------------------------------

void pipeline_connection::closer::operator()(pg_conn* connection) const noexcept {
  PQfinish(connection);
}

pipeline_connection::pipeline_connection(pg_conn* connection, connection_target target)
  : connection_(connection)
  , target_(std::move(target))
  , statements_(target_.statements_max) {}

pipeline_connection::~pipeline_connection() = default;

result<std::unique_ptr<pipeline_connection>> pipeline_connection::start(const connection_target& target) {
  // gssencmode: its negotiation blocks. Keepalives find a dead peer in about half a minute instead of hours.
  // What comes before the connection string is a default that it may override, what comes after is not.
  static constexpr const char* keywords[] = {
      "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
      "dbname",          "gssencmode",          "client_encoding",  nullptr};
  const char* values[] = {"10", "5", "3", "30000", target.conninfo.c_str(), "disable", "UTF8", nullptr};
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

std::int32_t pipeline_connection::reported_pid() const noexcept {
  return PQbackendPID(connection_.get());
}

std::string pipeline_connection::host() const {
  const char* host = PQhost(connection_.get());
  return host ? host : "";
}

std::string pipeline_connection::port() const {
  const char* port = PQport(connection_.get());
  return port ? port : "";
}

int pipeline_connection::server_version() const noexcept {
  return PQserverVersion(connection_.get());
}

bool pipeline_connection::uses_tls() const noexcept {
  return PQsslInUse(connection_.get()) == 1;
}

bool pipeline_connection::in_transaction() const noexcept {
  const auto status = PQtransactionStatus(connection_.get());
  return status == PQTRANS_INTRANS || status == PQTRANS_INERROR;
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
    begin_setup();
    return broken_ ? io_need::none : exchange();
  default:
    fail_from_connection("cannot connect");
    return io_need::none;
  }
}

void pipeline_connection::submit(std::uint64_t tag, const unit& work) {
  if (broken_)
    finished_.push_back({tag, {{}, db_failure{failure_kind::wait, "", "the connection is gone"}}});
  else if (phase_ == phase::ready)
    send(tag, role::work, work);
  else
    waiting_.emplace_back(tag, work);
}

void pipeline_connection::send(std::uint64_t tag, role part, const unit& work) {
  in_flight_.push_back({});
  auto& state = in_flight_.back();
  state.tag = tag;
  state.part = part;
  for (const auto& call : work.calls)
    if (!send_call(call, state))
      return fail_from_connection("cannot send");
  if (PQpipelineSync(connection_.get()) != 1)
    return fail_from_connection("cannot send");
  // In a segment of their own, after the unit, which may use them; the names are ours (statement_cache.hpp).
  for (const auto& name : statements_.take_evicted())
    send_own(role::deallocate, ("DEALLOCATE " + name).c_str());
}

void pipeline_connection::send_own(role part, const char* sql) {
  if (broken_)
    return;
  in_flight_.push_back({});
  in_flight_.back().part = part;
  if (!send_unnamed(sql, in_flight_.back()) || PQpipelineSync(connection_.get()) != 1)
    fail_from_connection("cannot send");
}

bool pipeline_connection::send_unnamed(const char* sql, unit_in_flight& state) {
  state.commands.push_back({});
  return PQsendQueryParams(connection_.get(), sql, 0, nullptr, nullptr, nullptr, nullptr, /*resultFormat=*/1) == 1;
}

bool pipeline_connection::send_call(const statement_call& call, unit_in_flight& state) {
  const bool is_composed = call.own != nullptr;
  const bool is_text = is_composed && !call.own->is_binary;
  const auto count = call.parameters.size();
  std::vector<const char*> values(count, nullptr);
  std::vector<int> lengths(count, 0);
  const std::vector<int> formats(count, is_text ? 0 : 1);
  for (std::size_t i = 0; i < count; ++i) {
    if (!call.parameters[i])
      continue;
    values[i] = call.parameters[i]->c_str();
    lengths[i] = static_cast<int>(call.parameters[i]->size());
  }
  const char* sql = is_composed ? call.own->sql.c_str() : call.what->sql;
  const auto types = is_composed ? std::span<const oid>(call.own->parameter_types) : call.what->parameter_types;
  const int parameters = static_cast<int>(count);
  if (is_composed && !call.own->keep_prepared) {
    state.commands.push_back({});
    std::vector<oid> all_types(types.begin(), types.end());
    all_types.resize(count); // 0: the server infers it
    return PQsendQueryParams(connection_.get(), sql, parameters, all_types.data(), values.data(), lengths.data(),
                             formats.data(), is_text ? 0 : 1) == 1;
  }
  const auto use = statements_.take(call);
  const std::string name = *use.name;
  if (use.must_prepare) {
    state.commands.push_back({use.id, true});
    if (PQsendPrepare(connection_.get(), name.c_str(), sql, static_cast<int>(types.size()), types.data()) != 1)
      return false;
  }
  state.commands.push_back({use.id, false});
  return PQsendQueryPrepared(connection_.get(), name.c_str(), parameters, values.data(), lengths.data(), formats.data(),
                             is_text ? 0 : 1) == 1;
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
  case PGRES_PIPELINE_SYNC:
    return end_unit();
  case PGRES_COMMAND_OK:
  case PGRES_TUPLES_OK:
  case PGRES_EMPTY_QUERY:
    front.command_answered = true;
    if (const std::string_view did = PQcmdStatus(raw); did == "DEALLOCATE ALL" || did == "DISCARD ALL")
      statements_.clear();
    if (!front.commands.empty() && !front.commands.front().prepares)
      front.outcome.results.emplace_back(std::move(result));
    return;
  case PGRES_COPY_IN:
  case PGRES_COPY_OUT:
  case PGRES_COPY_BOTH: // there is no way back to the pipeline
    return fail({failure_kind::fault, "", "COPY cannot be run on a pipelined connection; it is given up"});
  default:
    front.command_answered = true;
    take_command_failure(raw);
  }
}

void pipeline_connection::take_command_failure(const pg_result* result) {
  auto& front = in_flight_.front();
  const bool was_run = PQresultStatus(result) != PGRES_PIPELINE_ABORTED;
  const auto failed = front.commands.empty() ? command{} : front.commands.front();
  if (failed.prepares)
    statements_.forget(failed.statement);
  if (!was_run || front.outcome.failure)
    return;
  front.outcome.failure = failure_of(result);
  if (lost_its_plan(*front.outcome.failure))
    statements_.forget(failed.statement);
}

void pipeline_connection::end_unit() {
  auto done = std::move(in_flight_.front());
  in_flight_.pop_front();
  if (done.part == role::work)
    finished_.push_back({done.tag, std::move(done.outcome)});
  else
    finish_own(done.part, std::move(done.outcome));
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
  // What the server said last, as in "terminating connection due to administrator command", is worth more.
  std::string sqlstate;
  auto detail = one_line(PQerrorMessage(connection_.get()));
  if (!in_flight_.empty() && in_flight_.front().outcome.failure) {
    sqlstate = in_flight_.front().outcome.failure->sqlstate;
    detail = in_flight_.front().outcome.failure->message;
  }
  if (!detail.empty())
    what += ": " + detail;
  auto why = make_failure(std::move(sqlstate), std::move(what), /*while_connecting=*/phase_ != phase::ready);
  if (phase_ == phase::ready)
    why.kind = failure_kind::connection_lost; // whatever the server said: what was under way is unknown
  fail(std::move(why));
}

void pipeline_connection::fail(db_failure why) {
  if (broken_)
    return;
  phase_ = phase::broken;
  broken_ = std::move(why);
  auto lost = *broken_;
  lost.kind = failure_kind::connection_lost;
  for (auto& state : in_flight_)
    if (state.part == role::work)
      finished_.push_back({state.tag, {{}, lost}});
  in_flight_.clear();
  if (reset_tag_)
    finished_.push_back({*std::exchange(reset_tag_, std::nullopt), {{}, lost}});
  for (auto& [tag, work] : waiting_) // never sent, so nothing of it was done
    finished_.push_back({tag, {{}, db_failure{failure_kind::wait, "", broken_->message, broken_->known}}});
  waiting_.clear();
}

void pipeline_connection::drain_notifications() {
  while (const notify_ptr got{PQnotifies(connection_.get())})
    notifications_.push_back({got->relname, got->extra ? got->extra : "", got->be_pid});
}

std::vector<pipeline_connection::finished_unit> pipeline_connection::take_finished() {
  return std::exchange(finished_, {});
}

std::vector<notification> pipeline_connection::take_notifications() {
  return std::exchange(notifications_, {});
}

} // namespace colloquy::db
