#include "db/doctor_session.hpp"

#include "db/doctor_network.hpp"
#include "db/symptoms.hpp"

#include <poll.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <memory>
#include <utility>

namespace colloquy::db::doctor {
namespace {

/// No longer than this without a look: bytes may lie decrypted inside OpenSSL while the socket is silent.
constexpr milliseconds poll_slice{100};

void drop_notice(void*, const PGresult*) {}

std::string trimmed(const char* text) {
  std::string out = text ? text : "";
  while (!out.empty() && (out.back() == '\n' || out.back() == ' '))
    out.pop_back();
  return out;
}

std::string without(std::string text, const std::string& secret) {
  if (secret.empty())
    return text;
  for (auto at = text.find(secret); at != std::string::npos; at = text.find(secret, at + 3))
    text.replace(at, secret.size(), "***");
  return text;
}

std::string field(const PGresult* held, int code) {
  const char* value = PQresultErrorField(held, code);
  return value ? value : "";
}

bool is_good(const PGresult* held) {
  const auto status = PQresultStatus(held);
  return status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK;
}

/// False at the deadline.
bool wait_a_little(int fd, short events, deadline until) {
  const auto slice = std::min(until, in(poll_slice));
  return wait_for_socket(fd, events, slice) || std::chrono::steady_clock::now() < until;
}

std::string or_empty(const char* text) {
  return text ? text : "";
}

} // namespace

std::string text_answer::at(std::size_t row, std::size_t column) const {
  return row < rows.size() && column < rows[row].size() ? rows[row][column].value_or("") : "";
}

std::int64_t text_answer::number_at(std::size_t row, std::size_t column) const {
  return std::strtoll(at(row, column).c_str(), nullptr, 10);
}

session::session(const std::string& conninfo, deadline until) {
  const std::array keywords{"dbname", "client_encoding", "fallback_application_name",
                            static_cast<const char*>(nullptr)};
  const std::array values{conninfo.c_str(), "UTF8", "colloquy-doctor", static_cast<const char*>(nullptr)};
  held_.reset(PQconnectStartParams(keywords.data(), values.data(), 1));
  if (!held_) {
    fail("no memory for a connection", true);
    return;
  }
  password_ = or_empty(PQpass(held_.get()));
  PQsetNoticeReceiver(held_.get(), drop_notice, nullptr);
  if (PQstatus(held_.get()) == CONNECTION_BAD)
    fail(own_words(), true);
  else
    log_in(until);
}

void session::log_in(deadline until) {
  auto wanted = PGRES_POLLING_WRITING;
  while (wanted != PGRES_POLLING_OK) {
    if (wanted == PGRES_POLLING_FAILED)
      return fail(own_words(), true);
    const short events = wanted == PGRES_POLLING_READING ? POLLIN : POLLOUT;
    if (!wait_for_socket(PQsocket(held_.get()), events, until))
      return fail("timeout expired: the server has taken the connection and does not let us in", true);
    wanted = PQconnectPoll(held_.get());
  }
  if (PQsetnonblocking(held_.get(), 1) != 0)
    fail(own_words(), true);
}

void session::fail(std::string why, bool while_connecting) {
  failure_ = make_failure("", without(std::move(why), password_), while_connecting);
  held_.reset(); // at once: nobody is to wait for it
}

std::string session::own_words() const {
  return trimmed(PQerrorMessage(held_.get()));
}

result_ptr session::await_result(deadline until) {
  int unsent = 1;
  while (unsent == 1 || PQisBusy(held_.get()) == 1) {
    unsent = PQflush(held_.get());
    if (unsent < 0 || PQconsumeInput(held_.get()) == 0) {
      fail(own_words(), false);
      return {};
    }
    if (unsent == 0 && PQisBusy(held_.get()) == 0)
      break;
    if (!wait_a_little(PQsocket(held_.get()), static_cast<short>(unsent == 1 ? POLLIN | POLLOUT : POLLIN), until)) {
      fail("Connection timed out: the server, or the way to it, has stopped answering", false);
      return {};
    }
  }
  return result_ptr(PQgetResult(held_.get()));
}

result_ptr session::finish(int sent, deadline until, std::optional<db_failure>& why) {
  if (sent != 1)
    fail(own_words(), false);
  result_ptr first;
  while (!failure_) {
    auto next = await_result(until);
    if (!next)
      break;
    if (!first || is_good(first.get()))
      first = std::move(next);
  }
  if (!failure_ && first && is_good(first.get()))
    return first;
  if (failure_) {
    why = failure_;
    return {};
  }
  auto text = first ? field(first.get(), PG_DIAG_MESSAGE_PRIMARY) : own_words();
  if (text.empty())
    text = own_words();
  why = make_failure(first ? field(first.get(), PG_DIAG_SQLSTATE) : "", without(std::move(text), password_), false);
  if (PQstatus(held_.get()) != CONNECTION_OK) {
    failure_ = why;
    held_.reset();
  }
  return {};
}

text_answer session::query(const std::string& sql, const std::vector<std::string>& parameters, deadline until) {
  text_answer answer;
  if (failure_) {
    answer.failure = failure_;
    return answer;
  }
  std::vector<const char*> values;
  values.reserve(parameters.size());
  for (const auto& parameter : parameters)
    values.push_back(parameter.c_str());
  const int sent = PQsendQueryParams(held_.get(), sql.c_str(), static_cast<int>(values.size()), nullptr, values.data(),
                                     nullptr, nullptr, 0);
  const auto held = finish(sent, until, answer.failure);
  for (int row = 0; held && row < PQntuples(held.get()); ++row) {
    auto& cells = answer.rows.emplace_back();
    for (int column = 0; column < PQnfields(held.get()); ++column)
      cells.push_back(PQgetisnull(held.get(), row, column) == 1
                          ? std::nullopt
                          : std::optional<std::string>(PQgetvalue(held.get(), row, column)));
  }
  return answer;
}

unit_outcome session::run(const unit& work, deadline until) {
  unit_outcome outcome;
  for (const auto& call : work.calls) {
    if (failure_) {
      outcome.failure = failure_;
      return outcome;
    }
    std::vector<const char*> values;
    std::vector<int> lengths, formats;
    for (const auto& parameter : call.parameters) {
      values.push_back(parameter ? parameter->data() : nullptr);
      lengths.push_back(parameter ? static_cast<int>(parameter->size()) : 0);
      formats.push_back(1);
    }
    const int sent =
        PQsendQueryParams(held_.get(), call.what->sql, static_cast<int>(values.size()),
                          call.what->parameter_types.data(), values.data(), lengths.data(), formats.data(), 1);
    auto held = finish(sent, until, outcome.failure);
    if (outcome.failure)
      return outcome;
    outcome.results.emplace_back(std::shared_ptr<const pg_result>(std::shared_ptr<pg_result>(std::move(held))));
  }
  return outcome;
}

std::string session::reported(const char* parameter) const {
  return held_ ? or_empty(PQparameterStatus(held_.get(), parameter)) : "";
}

std::string session::host() const {
  return held_ ? or_empty(PQhost(held_.get())) : "";
}

std::string session::port() const {
  return held_ ? or_empty(PQport(held_.get())) : "";
}

std::string session::user() const {
  return held_ ? or_empty(PQuser(held_.get())) : "";
}

std::string session::database() const {
  return held_ ? or_empty(PQdb(held_.get())) : "";
}

} // namespace colloquy::db::doctor
