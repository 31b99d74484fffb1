#include "db/session_connection.hpp"

#include "db/libpq_handles.hpp"
#include "db/symptoms.hpp"

#include <libpq-fe.h>

#include <openssl/ssl.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace colloquy::db {
namespace {

// One message of the server, a row for example, is held in memory by libpq whatever its size.
constexpr std::size_t message_bytes_max = std::size_t{64} << 20;

constexpr std::size_t notices_max = 100;
constexpr std::size_t notice_chars_max = 1000;
constexpr std::size_t notifications_max = 1000;

constexpr oid jsonb = 3802;
constexpr oid numeric = 1700;

std::string field(const PGresult* result, int code, std::size_t most = std::string::npos) {
  const char* value = PQresultErrorField(result, code);
  std::string text = value ? value : "";
  if (text.size() > most)
    text.resize(most);
  return text;
}

std::string words_of(const PGconn* connection) {
  std::string text = PQerrorMessage(connection);
  std::replace(text.begin(), text.end(), '\n', ' ');
  while (!text.empty() && text.back() == ' ')
    text.pop_back();
  return text;
}

template <class Integer>
bool is_whole(const std::string& text) {
  Integer value{};
  const auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), value);
  return problem == std::errc{} && end == text.data() + text.size();
}

/// 0: whatever the statement makes of it.
oid type_of(const sql_parameter& parameter) {
  switch (parameter.is) {
  case sql_parameter::kind::boolean:
    return oids::boolean;
  case sql_parameter::kind::number:
    if (is_whole<std::int32_t>(parameter.value))
      return oids::int4;
    return is_whole<std::int64_t>(parameter.value) ? oids::int8 : numeric;
  case sql_parameter::kind::json:
    return jsonb;
  case sql_parameter::kind::null:
  case sql_parameter::kind::text:
    break;
  }
  return 0;
}

} // namespace

void session_connection::closer::operator()(pg_conn* connection) const noexcept {
  PQfinish(connection);
}

session_connection::session_connection(pg_conn* connection)
  : connection_(connection) {}

session_connection::~session_connection() = default;

result<std::unique_ptr<session_connection>> session_connection::start(const std::string& conninfo) {
  static constexpr const char* keywords[] = {
      "keepalives_idle", "keepalives_interval", "keepalives_count", "tcp_user_timeout",
      "dbname",          "gssencmode",          "client_encoding",  nullptr};
  const char* values[] = {"10", "5", "3", "30000", conninfo.c_str(), "disable", "UTF8", nullptr};
  PGconn* raw = PQconnectStartParams(keywords, values, /*expand_dbname=*/1);
  if (!raw)
    return error{error_code::database_unavailable, "no memory for a connection"};
  std::unique_ptr<session_connection> made(new session_connection(raw));
  if (PQstatus(raw) == CONNECTION_BAD)
    return error{error_code::database_unavailable, words_of(raw)};
  PQsetNoticeReceiver(raw, &session_connection::on_notice, made.get());
  return made;
}

int session_connection::socket() const noexcept {
  return PQsocket(connection_.get());
}

std::int32_t session_connection::backend_pid() const noexcept {
  return PQbackendPID(connection_.get());
}

int session_connection::server_version() const noexcept {
  return PQserverVersion(connection_.get());
}

sql_transaction_status session_connection::transaction_status() const noexcept {
  switch (PQtransactionStatus(connection_.get())) {
  case PQTRANS_INTRANS:
    return sql_transaction_status::in_transaction;
  case PQTRANS_INERROR:
    return sql_transaction_status::failed;
  case PQTRANS_ACTIVE:
    return sql_transaction_status::active;
  default:
    return sql_transaction_status::idle;
  }
}

result<cancel_request> session_connection::make_cancel_request() const {
  PGcancel* raw = is_connected_ ? PQgetCancel(connection_.get()) : nullptr;
  if (!raw)
    return error{error_code::database_unavailable, "cannot cancel: not connected"};
  return cancel_request(raw);
}

// --- the socket ------------------------------------------------------------------------------------------------------

io_need session_connection::advance() {
  if (broken_)
    return io_need::none;
  if (!is_connected_)
    return advance_connecting();
  for (;;) {
    if (PQflush(connection_.get()) < 0)
      return fail("cannot send"), io_need::none;
    take_results();
    if (broken_ || is_paused_)
      return io_need::none; // what the server still has to say waits there
    count_arriving();
    const bool is_alive = !broken_ && PQconsumeInput(connection_.get()) == 1;
    take_results();
    drain_notifications();
    if (!is_alive)
      fail("connection lost");
    if (broken_ || is_paused_)
      return io_need::none;
    auto* ssl = static_cast<SSL*>(PQsslStruct(connection_.get(), "OpenSSL"));
    if (ssl && SSL_pending(ssl) > 0) // decrypted bytes that the socket will not tell of
      continue;
    const int unsent = PQflush(connection_.get());
    if (unsent < 0)
      return fail("cannot send"), io_need::none;
    if (running_ && !PQisBusy(connection_.get()))
      continue;
    return unsent > 0 ? io_need::read_write : io_need::read;
  }
}

io_need session_connection::advance_connecting() {
  switch (PQconnectPoll(connection_.get())) {
  case PGRES_POLLING_READING:
    return io_need::read;
  case PGRES_POLLING_WRITING:
    return io_need::write;
  case PGRES_POLLING_OK:
    if (PQsetnonblocking(connection_.get(), 1) != 0)
      return fail("cannot connect"), io_need::none;
    is_connected_ = true;
    return io_need::read;
  default:
    return fail("cannot connect"), io_need::none;
  }
}

/// libpq holds a message until it is whole, however large it is: one that does not end is not waited for.
void session_connection::count_arriving() {
  int waiting = 0;
  if (!running_ || ::ioctl(socket(), FIONREAD, &waiting) != 0)
    return;
  arriving_ += static_cast<std::size_t>(std::max(waiting, 0));
  if (arriving_ > message_bytes_max)
    fail("one row is larger than " + std::to_string(message_bytes_max >> 20) + " MiB; the connection is given up");
}

void session_connection::fail(std::string what) {
  if (broken_)
    return;
  std::string sqlstate;
  auto detail = words_of(connection_.get());
  if (progress_.refused) {
    sqlstate = progress_.refused->sqlstate;
    detail = progress_.refused->message;
  }
  if (!detail.empty())
    what += ": " + detail;
  broken_ = make_failure(sqlstate, what, /*while_connecting=*/!is_connected_);
  if (!running_)
    return;
  running_ = is_paused_ = false;
  sql_refusal lost{sqlstate.empty() ? "08006" : sqlstate, what};
  lost.ended_the_session = true;
  progress_.refused = std::move(lost);
  progress_.rows.clear();
  done_ = std::exchange(progress_, {});
}

void session_connection::drain_notifications() {
  while (const notify_ptr got{PQnotifies(connection_.get())})
    if (notifications_.size() < notifications_max)
      notifications_.push_back({got->relname, got->extra ? got->extra : "", got->be_pid});
}

std::vector<notification> session_connection::take_notifications() {
  return std::exchange(notifications_, {});
}

void session_connection::on_notice(void* self, const pg_result* notice) {
  auto& notices = static_cast<session_connection*>(self)->progress_.notices;
  if (notices.size() >= notices_max)
    return;
  notices.push_back({field(notice, PG_DIAG_SEVERITY_NONLOCALIZED), field(notice, PG_DIAG_SQLSTATE),
                     field(notice, PG_DIAG_MESSAGE_PRIMARY, notice_chars_max)});
}

// --- a statement -----------------------------------------------------------------------------------------------------

void session_connection::begin(const caller_sql& sql, const row_limits& limits) {
  const auto count = sql.parameters.size();
  std::vector<const char*> values(count, nullptr);
  std::vector<oid> types(count, 0);
  for (std::size_t i = 0; i < count; ++i) {
    types[i] = type_of(sql.parameters[i]);
    if (sql.parameters[i].is != sql_parameter::kind::null)
      values[i] = sql.parameters[i].value.c_str();
  }
  progress_ = {};
  done_.reset();
  carried_.reset();
  limits_ = limits;
  bytes_ = arriving_ = 0;
  running_ = true;
  is_paused_ = skips_ = copies_out_ = false;
  if (PQsendQueryParams(connection_.get(), sql.text.c_str(), static_cast<int>(count), types.data(), values.data(),
                        nullptr, nullptr, 0) != 1 ||
      PQsetSingleRowMode(connection_.get()) != 1)
    fail("cannot send");
}

void session_connection::go_on(const row_limits& limits) {
  if (!paused())
    return;
  limits_ = limits;
  bytes_ = 0;
  is_paused_ = false;
  auto columns = std::move(progress_.columns);
  progress_ = {};
  progress_.columns = std::move(columns);
  if (carried_) {
    for (const auto& value : *carried_)
      bytes_ += value ? value->size() : 0;
    if (bytes_ > limits_.bytes)
      refuse_row(bytes_);
    else
      progress_.rows.push_back(std::move(*carried_));
    carried_.reset();
  }
}

void session_connection::skip_rest() {
  if (!paused())
    return;
  is_paused_ = false;
  skips_ = true;
  carried_.reset();
  progress_ = {};
}

std::optional<sql_progress> session_connection::take_progress() {
  return std::exchange(done_, std::nullopt);
}

void session_connection::take_results() {
  while (!broken_ && running_ && !is_paused_) {
    if (copies_out_) {
      char* copied = nullptr;
      const int got = PQgetCopyData(connection_.get(), &copied, /*async=*/1);
      if (copied)
        PQfreemem(copied);
      arriving_ = 0;
      if (got > 0)
        continue;
      if (got == 0)
        return;
      copies_out_ = false;
    }
    if (PQisBusy(connection_.get()))
      return;
    arriving_ = 0;
    const result_ptr got(PQgetResult(connection_.get()));
    if (!got)
      return PQstatus(connection_.get()) == CONNECTION_BAD ? fail("connection lost") : end_statement();
    take_result(got.get());
  }
}

void session_connection::take_result(pg_result* result) {
  switch (PQresultStatus(result)) {
  case PGRES_SINGLE_TUPLE:
    if (!take_row(result))
      pause();
    return;
  case PGRES_TUPLES_OK:
  case PGRES_COMMAND_OK:
    describe_columns(result);
    progress_.command = PQcmdStatus(result);
    progress_.touched = std::strtol(PQcmdTuples(result), nullptr, 10);
    return;
  case PGRES_EMPTY_QUERY:
    return;
  case PGRES_COPY_IN:
    PQputCopyEnd(connection_.get(), "COPY from the client is not available here; use INSERT");
    return;
  case PGRES_COPY_OUT:
    copies_out_ = true;
    progress_.refused = sql_refusal{"0A000", "COPY to the client is not available here; use SELECT"};
    return;
  default:
    take_refusal(result);
  }
}

void session_connection::describe_columns(const pg_result* result) {
  if (!progress_.columns.empty())
    return;
  for (int column = 0; column < PQnfields(result); ++column)
    progress_.columns.push_back({PQfname(result, column), PQftype(result, column), PQfmod(result, column)});
}

/// False: it was one too many.
bool session_connection::take_row(const pg_result* result) {
  if (skips_ || progress_.refused)
    return true;
  describe_columns(result);
  sql_row row;
  std::size_t bytes = 0;
  const int columns = PQnfields(result);
  row.reserve(static_cast<std::size_t>(columns));
  for (int column = 0; column < columns; ++column) {
    if (PQgetisnull(result, 0, column) == 1) {
      row.emplace_back(std::nullopt);
      continue;
    }
    row.emplace_back(
        std::string(PQgetvalue(result, 0, column), static_cast<std::size_t>(PQgetlength(result, 0, column))));
    bytes += row.back()->size();
  }
  if (progress_.rows.empty() && bytes > limits_.bytes) {
    refuse_row(bytes);
    return true;
  }
  const bool fits = progress_.rows.empty() || (progress_.rows.size() < limits_.rows && bytes_ + bytes <= limits_.bytes);
  if (!fits) {
    carried_ = std::move(row);
    return false;
  }
  bytes_ += bytes;
  progress_.rows.push_back(std::move(row));
  return true;
}

/// Cut to fit, a number or JSON would be another one; and whoever asks for little has no room for more.
void session_connection::refuse_row(std::size_t bytes) {
  sql_refusal refused{"54000", "a row of it has " + std::to_string(bytes) + " bytes, and no more than " +
                                   std::to_string(limits_.bytes) +
                                   " are wanted (max_bytes): it was run, and its rows are not given"};
  refused.hint = "Ask for a larger max_bytes, or for less, as by left(), substr() or fewer columns.";
  progress_.refused = std::move(refused);
}

void session_connection::take_refusal(const pg_result* result) {
  if (progress_.refused)
    return;
  sql_refusal refused{field(result, PG_DIAG_SQLSTATE), field(result, PG_DIAG_MESSAGE_PRIMARY)};
  if (refused.sqlstate.empty()) { // libpq's own words
    refused.sqlstate = "08006";
    refused.message = words_of(connection_.get());
  }
  refused.detail = field(result, PG_DIAG_MESSAGE_DETAIL);
  refused.hint = field(result, PG_DIAG_MESSAGE_HINT);
  refused.position = std::strtol(field(result, PG_DIAG_STATEMENT_POSITION).c_str(), nullptr, 10);
  progress_.refused = std::move(refused);
}

/// Text comes in what the client says it reads, and any SQL can say something else for it.
bool session_connection::reads_utf8() const {
  const char* encoding = PQparameterStatus(connection_.get(), "client_encoding");
  return encoding && std::string_view(encoding) == "UTF8";
}

void session_connection::pause() {
  is_paused_ = true;
  done_ = std::move(progress_);
  done_->has_more = true;
  progress_ = {};
  progress_.columns = done_->columns;
}

void session_connection::end_statement() {
  if (!reads_utf8())
    return fail("client_encoding must stay UTF8; the connection is given up");
  running_ = false;
  if (progress_.refused)
    progress_.rows.clear();
  done_ = std::exchange(progress_, {});
}

} // namespace colloquy::db
