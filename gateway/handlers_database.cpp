// Database sessions.
#include "gateway/edge.hpp"
#include "gateway/problem.hpp"
#include "gateway/sql_values.hpp"
#include "messages/limits.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;

// Beyond a statement's own deadline: to cancel it, to end what obeys no cancel, and to look up what it was about.
constexpr std::chrono::milliseconds beyond_deadline{40'000};

/// What a statement is cancelled by, if its client leaves.
std::atomic<std::uint64_t> last_statement{0};

const error none_here{error_code::forbidden, "there are no database sessions here"};

void write_opened(json_writer& to, const database_session_record& opened) {
  to.open_object()
      .member("id", opened.id)
      .member("access", to_string(opened.access))
      .member("expires_at", opened.expires_at)
      .close_object();
}

void write_notifications(json_writer& to, const database_notifications& got) {
  to.open_object().key("notifications").open_array();
  for (const auto& each : got.notifications)
    to.open_object().member("channel", each.channel).member("payload", each.payload).close_object();
  to.close_array().member("missed_some", got.missed_some).close_object();
}

/// What the audit log calls it: not the whole handle, which is worth keeping to oneself.
std::string shown(const std::string& handle) {
  return handle.substr(0, 8);
}

std::string handle_of(const call& of) {
  return of.said.path.text_or("id", "");
}

/// Whose it is, or why there can be none.
result<database_session_owner> owner_of(const call& of) {
  if (!of.at.handles().database_sessions)
    return none_here;
  return database_owner_of(of.who);
}

} // namespace

task<http_reply> handle_open_database_session(call& of) {
  const auto& body = of.said.body;
  auto owner = owner_of(of);
  if (!owner)
    co_return make_problem(owner.failure(), of.request.id);
  open_database_session wanted;
  wanted.owner = *owner;
  wanted.repeat = of.repeat();
  wanted.access =
      body.text_or("access", "read_only") == "read_write" ? database_access::read_write : database_access::read_only;
  wanted.parking = body.text_or("parking", "auto") == "never" ? database_parking::never : database_parking::automatic;
  if (const auto idle = body.integer("idle_timeout_s"))
    wanted.idle_timeout = std::chrono::seconds{*idle};
  if (wanted.access == database_access::read_write && !of.who.scopes.write)
    co_return make_problem({error_code::forbidden, "access read_write needs a key with the scope write"},
                           of.request.id);
  const auto about = body.maybe<uuid_bytes>("session_id");
  if (about) {
    get_session looked{{of.who.tenant, session_id{*about}}};
    auto found = co_await of.at.ask(std::move(looked));
    if (!found)
      co_return make_problem(found.failure(), of.request.id);
  }
  auto answer = co_await of.at.ask(of.at.handles().database_sessions, std::move(wanted), beyond_deadline);
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.audit(of, "database_session.open", "database_session", shown(answer->id));
  if (about) // so that what was done in the database for a session can be found by it
    of.at.audit(of, "database_session.open", "session", session_id{*about}.to_string());
  auto reply = json_reply(201, *answer, write_opened);
  // Nobody else knows its handle; but who has a key for the request can ask for it again.
  if (!of.said.idempotency_key)
    reply.on_undelivered = [&at = of.at, gone = close_database_session{*owner, answer->id}] {
      at.asks().tell(at.handles().database_sessions, gone);
    };
  co_return reply;
}

task<http_reply> handle_execute_sql(call& of) {
  const auto& body = of.said.body;
  auto owner = owner_of(of);
  if (!owner)
    co_return make_problem(owner.failure(), of.request.id);
  execute_sql wanted;
  wanted.owner = *owner;
  wanted.id = handle_of(of);
  wanted.sql = body.text_or("sql", "");
  wanted.cursor = body.text_or("cursor", "");
  wanted.rows_max = static_cast<std::size_t>(body.integer_or("max_rows", limits::sql_rows_default));
  wanted.bytes_max = static_cast<std::size_t>(body.integer_or("max_bytes", limits::sql_result_bytes_default));
  wanted.timeout = std::chrono::seconds{body.integer_or("timeout_s", limits::sql_timeout_default.count())};
  auto parameters = read_sql_parameters(body.raw_or("params", "[]"));
  if (!parameters)
    co_return make_problem(parameters.failure(), of.request.id);
  wanted.parameters = std::move(*parameters);
  wanted.may_write = of.who.scopes.write; // one owner may come with tokens of different scopes
  wanted.number = ++last_statement;
  cancel_sql cancel{wanted.owner, wanted.id, wanted.number};
  const auto longer = wanted.timeout + beyond_deadline;
  of.when_gone = [&of, cancel] { // a drain does not cut what runs
    if (!of.at.is_draining())
      of.at.asks().tell(of.at.handles().database_sessions, cancel);
  };
  auto answer = co_await of.at.ask(of.at.handles().database_sessions, std::move(wanted), longer);
  of.when_gone = nullptr;
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.audit(of, "database_session.execute", "database_session", shown(handle_of(of)));
  if (answer->refused)
    co_return make_sql_problem(*answer, of.request.id);
  co_return json_reply(200, *answer, write_sql_outcome);
}

task<http_reply> handle_read_database_notifications(call& of) {
  auto owner = owner_of(of);
  if (!owner)
    co_return make_problem(owner.failure(), of.request.id);
  read_database_notifications wanted;
  wanted.owner = *owner;
  wanted.id = handle_of(of);
  wanted.wait = std::chrono::seconds{of.said.query.integer_or("wait_s", 0)};
  const auto wait = wanted.wait;
  ask_number number = 0;
  of.when_gone = [&] { of.at.asks().cancel(number); };
  auto answer = co_await of.at.ask(of.at.handles().database_sessions, std::move(wanted), wait, &number);
  of.when_gone = nullptr;
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, write_notifications);
}

task<http_reply> handle_close_database_session(call& of) {
  auto owner = owner_of(of);
  if (!owner)
    co_return make_problem(owner.failure(), of.request.id);
  close_database_session wanted{*owner, handle_of(of)};
  auto answer = co_await of.at.ask(of.at.handles().database_sessions, std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.audit(of, "database_session.close", "database_session", shown(handle_of(of)));
  co_return no_content();
}

} // namespace colloquy::gateway
