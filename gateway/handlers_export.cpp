// Taking a tenant's data out, and erasing a user.
#include "gateway/edge.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "gateway/secrets.hpp"

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

/// Writes one session after the other; each of its lines is an object with a `type`.
class exporter {
public:
  exporter(edge& at, reply_sink& sink, std::optional<std::string> as_user)
    : at_(at)
    , sink_(sink)
    , as_user_(std::move(as_user)) {}

  /// False: the client is gone, or what was to be read cannot be.
  task<bool> write_session(session_record session) {
    ++sessions_;
    // Its time is up, though nobody has noticed yet: as one that is active it would live again when it is imported.
    if (session.expires_at && *session.expires_at <= system_time())
      session.status = session_status::expired;
    line("session", [&](json_writer& to) { write(to, session); });
    const bool done =
        co_await write_participants(session.key) && co_await write_turns(session.key) && co_await write_events(session);
    co_return done;
  }

  /// What shows that nothing is missing.
  task<bool> write_end() {
    json_writer to(bytes_);
    to.open_object().member("type", "end").member("sessions", sessions_).close_object();
    bytes_ += '\n';
    co_return co_await send();
  }

private:
  template <class Write>
  void line(const char* type, Write write_it) {
    json_writer to(bytes_);
    to.open_object().member("type", type).key(type);
    write_it(to);
    to.close_object();
    bytes_ += '\n';
  }

  task<bool> send() {
    const auto bytes = std::exchange(bytes_, {});
    co_return co_await sink_.write(bytes);
  }

  task<bool> write_participants(session_key key) {
    list_participants wanted{key, as_user_, true};
    auto all = co_await at_.ask(std::move(wanted));
    if (!all)
      co_return false;
    for (const auto& each : all->participants)
      line("participant", [&](json_writer& to) { write(to, each); });
    co_return co_await send();
  }

  task<bool> write_turns(session_key key) {
    list_turns wanted{key, limits::page_events_max, std::nullopt, as_user_, true};
    for (;;) {
      auto page = co_await at_.ask(wanted);
      if (!page)
        co_return false;
      for (const auto& each : page->turns)
        line("turn", [&](json_writer& to) { write(to, each); });
      if (!co_await send())
        co_return false;
      if (!page->next_before)
        co_return true;
      wanted.before = page->next_before;
    }
  }

  task<bool> write_events(const session_record& session) {
    read_events wanted;
    wanted.session = session.key;
    wanted.limit = limits::page_events_max;
    wanted.as_user = as_user_;
    wanted.even_expired = true;
    wanted.with_deleted = !as_user_ || *as_user_ == session.user_id; // with whom it is shared does not get those
    for (;;) {
      auto page = co_await at_.ask(wanted);
      if (!page)
        co_return false;
      if (page->events.empty() && !page->is_cut_short)
        co_return true;
      for (const auto& each : page->events)
        line("event", [&](json_writer& to) { write_event(to, each, is_deleted(*page, each)); });
      if (!co_await send())
        co_return false;
      wanted.after = page->read_through;
    }
  }

  edge& at_;
  reply_sink& sink_;
  std::optional<std::string> as_user_;
  std::string bytes_;
  std::size_t sessions_ = 0;
};

http_reply lines_reply() {
  http_reply reply;
  reply.content_type = "application/x-ndjson";
  reply.headers.emplace_back("Cache-Control", "no-store");
  return reply;
}

task<bool> write_user(exporter& to, edge& at, list_sessions wanted) {
  for (;;) {
    auto page = co_await at.ask(wanted);
    if (!page)
      co_return false;
    for (const auto& each : page->sessions) {
      // As it is now; one that was erased meanwhile is left out.
      get_session as_it_is{each.key, wanted.as_user, true};
      auto session = co_await at.ask(std::move(as_it_is));
      if (!session && session.failure().code == error_code::not_found)
        continue;
      if (!session || !co_await to.write_session(*session))
        co_return false;
    }
    if (page->next_cursor.empty())
      co_return true;
    wanted.cursor = page->next_cursor;
  }
}

/// The audit log outlives the user, so it does not name one: who knows the name can find it.
std::string nameless(const std::string& user) {
  return "sha256:" + sha256_hex(user);
}

/// An export and an erasure are in the audit log before anything is given away or gone.
task<std::optional<error>> audit_first(call& of, const char* action, const char* kind, std::string target) {
  auto note = of.at.note_of(of, action, kind, std::move(target));
  note.wait = true;
  auto written = co_await of.at.ask(of.at.handles().tenants, std::move(note));
  co_return written ? std::nullopt : std::optional(written.failure());
}

} // namespace

task<http_reply> handle_export_session(call& of) {
  get_session wanted{of.session(), of.who.as_user, true};
  auto session = co_await of.at.ask(std::move(wanted));
  if (!session)
    co_return make_problem(session.failure(), of.request.id);
  if (auto problem = co_await audit_first(of, "session.export", "session", of.session().id.to_string()))
    co_return make_problem(*problem, of.request.id);
  auto reply = lines_reply();
  reply.stream = [&at = of.at, as_user = of.who.as_user,
                  record = std::move(session).value()](reply_sink& sink) -> task<bool> {
    exporter to(at, sink, as_user);
    const bool done = co_await to.write_session(record) && co_await to.write_end();
    co_return done;
  };
  co_return reply;
}

task<http_reply> handle_export_user(call& of) {
  const auto user = of.said.path.text_or("user_id", "");
  if (of.who.as_user && *of.who.as_user != user)
    co_return make_problem({error_code::forbidden, "this token exports its own user alone"}, of.request.id);
  if (auto problem = co_await audit_first(of, "user.export", "user", nameless(user)))
    co_return make_problem(*problem, of.request.id);
  list_sessions wanted;
  wanted.tenant = of.who.tenant;
  wanted.user_id = user;
  wanted.as_user = of.who.as_user;
  auto reply = lines_reply();
  reply.stream = [&at = of.at, wanted](reply_sink& sink) -> task<bool> {
    exporter to(at, sink, wanted.as_user);
    const bool done = co_await write_user(to, at, wanted) && co_await to.write_end();
    co_return done;
  };
  co_return reply;
}

task<http_reply> handle_erase_user(call& of) {
  const auto user = of.said.path.text_or("user_id", "");
  if (auto problem = co_await audit_first(of, "user.erase", "user", nameless(user)))
    co_return make_problem(*problem, of.request.id);
  erase_user wanted{of.who.tenant, user};
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const erased& gone) { write(to, gone); });
}

} // namespace colloquy::gateway
