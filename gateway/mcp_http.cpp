// The Model Context Protocol over Streamable HTTP: one path, where each message is a request of HTTP. A reply is JSON
// if nothing is said before the answer, else a stream of events that ends with it.
#include "gateway/base64url.hpp"
#include "gateway/edge.hpp"
#include "gateway/mcp_authorization.hpp"
#include "gateway/mcp_http_sessions.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/problem.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>

#include <algorithm>
#include <vector>

namespace colloquy::gateway {
namespace {

using namespace std::chrono_literals;
namespace asio = boost::asio;
using namespace mcp;

constexpr auto look_interval = 1s;
constexpr std::size_t batch_max = 100;

/// A client that lives comes back before it is taken for dead (http_sessions::note_lost_stream).
constexpr std::string_view retry_event = "retry: 200\n\n";

/// Plain, or =?base64?...?= for what a header cannot hold.
std::optional<std::string> decode_header(std::string_view value) {
  constexpr std::string_view begin = "=?base64?", end = "?=";
  if (!value.starts_with(begin) || !value.ends_with(end) || value.size() < begin.size() + end.size())
    return std::string(value);
  std::string inside(value.substr(begin.size(), value.size() - begin.size() - end.size()));
  std::replace(inside.begin(), inside.end(), '+', '-');
  std::replace(inside.begin(), inside.end(), '/', '_');
  while (inside.ends_with('='))
    inside.pop_back();
  return base64url_decode(inside);
}

/// What a header repeats of the body must be the same.
std::optional<fault> check_headers(const http_request& by, const request& of) {
  const auto mismatch = [](std::string why) { return fault{fault_code::header_mismatch, std::move(why), {}, 400}; };
  if (!by.mcp.version)
    return mismatch("the header MCP-Protocol-Version is missing");
  if (*by.mcp.version != of.version)
    return mismatch("the header MCP-Protocol-Version is not the version in _meta");
  if (!by.mcp.method)
    return mismatch("the header Mcp-Method is missing");
  if (*by.mcp.method != of.method)
    return mismatch("the header Mcp-Method is not the method of the message");
  const bool has_name = of.method == "tools/call" || of.method == "prompts/get" || of.method == "resources/read";
  if (!has_name)
    return std::nullopt;
  if (!by.mcp.name)
    return mismatch("the header Mcp-Name is missing");
  const auto said = of.said.text(of.method == "resources/read" ? "uri" : "name");
  if (const auto decoded = decode_header(*by.mcp.name); !decoded || decoded != said)
    return mismatch("the header Mcp-Name is not the name or URI in params");
  return std::nullopt;
}

/// A request under way, and what it has said so far. It goes on when its client has gone, unless that is what the
/// client means by going.
class exchange : public std::enable_shared_from_this<exchange> {
public:
  exchange(edge& at, std::string text)
    : queue(at.context())
    , of(at.protocol(), queue)
    , context_(at.context()) {
    of.text = std::move(text);
  }

  event_queue queue;
  request of;
  std::string response{}; ///< once it is done
  unsigned status = 200;
  std::string challenge{};
  bool is_done = false;

  void start() { asio::co_spawn(context_, run(shared_from_this()), asio::detached); }

  /// Until it has said something, or is done.
  task<void> begin() {
    while (!is_done && queue.is_empty() && !of.is_left)
      co_await queue.await_news(look_interval);
  }

  /// Until it is done. What it says meanwhile goes to the session's stream, if there is one.
  task<void> finish(http_session& session) {
    while (!is_done && !of.is_left) {
      co_await queue.await_news(look_interval);
      while (!queue.is_empty()) {
        auto told = queue.take();
        if (session.has_stream)
          session.queue.send(std::move(told));
      }
    }
  }

  /// The client has gone, or the service ends.
  void leave() {
    of.is_left = true;
    if (of.spoken == era::modern || of.at.is_draining())
      of.cancel();
    queue.wake();
  }
  bool is_left() const noexcept { return of.is_left; }

  void note_undelivered() {
    if (const auto tell = std::exchange(of.on_undelivered, nullptr))
      tell();
  }

private:
  static task<void> run(std::shared_ptr<exchange> self) {
    auto& of = self->of;
    {
      const hub::under_way counted(of.at, of);
      auto answer = co_await of.at.serve(of);
      if (of.from)
        of.from->end(of);
      if (answer.failed) {
        self->status = answer.failed->status;
        self->challenge = answer.failed->challenge;
      }
      self->response = of.at.write(of, answer);
      self->is_done = true;
      if (of.is_left && !self->is_heard_)
        self->note_undelivered();
      self->queue.close();
    }
  }

public:
  bool is_heard_ = false; ///< a reply has begun

private:
  asio::io_context& context_;
};

http_reply json_message(unsigned status, std::string text) {
  http_reply reply;
  reply.status = status;
  reply.body = std::move(text);
  return reply;
}

http_reply fault_reply(const call& of, const message_fault& wrong) {
  auto reply = json_message(wrong.why.status, write_fault(wrong.id, wrong.why));
  if (wrong.why.status == 401 || wrong.why.status == 403)
    reply.headers.emplace_back("WWW-Authenticate", challenge(of.request, of.at.settings(), wrong.why.challenge));
  return reply;
}

http_reply accepted() {
  http_reply reply;
  reply.status = 202;
  reply.content_type = "";
  return reply;
}

const message_fault no_session{{fault_code::session_not_found, "Session not found", {}, 404}, "null"};

/// What a session's version is has been agreed on; a client need not repeat it, but it cannot say another one.
std::optional<message_fault> check_version(const call& of, std::string_view id = "null") {
  const auto& said = of.request.mcp.version;
  if (!said || is_legacy_version(*said))
    return std::nullopt;
  return message_fault{{fault_code::invalid_request,
                        "the header MCP-Protocol-Version is not a version that sessions are spoken in; " +
                            std::string(modern_version) + " has none, and is named in _meta as well",
                        {},
                        400},
                       std::string(id)};
}

/// The reply to a request that has begun to answer, or is done.
http_reply reply_of(call& of, const std::shared_ptr<exchange>& under_way) {
  under_way->is_heard_ = true;
  if (under_way->is_done && under_way->queue.is_empty()) {
    auto reply = json_message(under_way->status, std::move(under_way->response));
    if (!under_way->challenge.empty())
      reply.headers.emplace_back("WWW-Authenticate", challenge(of.request, of.at.settings(), under_way->challenge));
    reply.on_undelivered = [under_way] { under_way->note_undelivered(); };
    return reply;
  }
  http_reply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.headers.emplace_back("X-Accel-Buffering", "no");
  reply.stream = [under_way](reply_sink& sink) -> task<bool> {
    // Named, and not made inside the awaited expression, where GCC 12 destroys what it has captured twice.
    std::function<bool()> is_over = [under_way] { return under_way->is_left(); };
    bool is_whole = co_await write_events(under_way->queue, sink, std::move(is_over));
    if (is_whole && under_way->is_done)
      is_whole = co_await sink.write("event: message\ndata: " + under_way->response + "\n\n");
    if (!is_whole) {
      under_way->leave();
      if (under_way->is_done)
        under_way->note_undelivered();
    }
    co_return is_whole;
  };
  reply.on_undelivered = [under_way] {
    under_way->leave();
    under_way->note_undelivered();
  };
  return reply;
}

task<http_reply> serve_exchange(call& of, std::shared_ptr<exchange> under_way) {
  if (under_way->of.from)
    if (auto why = under_way->of.from->begin(under_way->of)) {
      message_fault wrong{std::move(*why), under_way->of.id};
      co_return fault_reply(of, wrong);
    }
  under_way->start();
  of.when_gone = [under_way] { under_way->leave(); };
  co_await under_way->begin();
  of.when_gone = nullptr;
  co_return reply_of(of, under_way);
}

void set_caller(const call& by, request& of) {
  of.who = by.who;
  of.tenant = by.tenant;
  of.http_id = by.request.id;
  if (by.request.traceparent)
    of.traceparent = std::string(*by.request.traceparent);
}

/// A session's first request: it has no session yet.
task<http_reply> open_session(call& of, std::shared_ptr<exchange> first) {
  auto session = of.at.protocol().sessions().open(of.who, of.tenant);
  if (!session)
    co_return make_problem(session.failure(), of.request.id);
  first->of.from = (*session)->whose;
  auto reply = co_await serve_exchange(of, first);
  if (first->of.from->version.empty()) {
    of.at.protocol().sessions().close(*session);
    co_return reply;
  }
  reply.headers.emplace_back("Mcp-Session-Id", (*session)->id);
  co_return reply;
}

void read_peer(request& of, const std::shared_ptr<peer>& whose) {
  of.from = whose;
  of.version = whose->version;
  of.capabilities = whose->capabilities;
  of.log_level = whose->log_level;
}

/// A request of several: its answer as text, empty if its client has gone.
task<std::string> answer_one(call& of, http_session& session, std::shared_ptr<exchange> one) {
  if (auto why = session.whose->begin(one->of))
    co_return write_fault(one->of.id, *why);
  one->start();
  of.when_gone = [one] { one->leave(); };
  co_await one->finish(session);
  of.when_gone = nullptr;
  one->is_heard_ = one->is_done;
  co_return one->response;
}

/// Several messages in one (2025-03-26 alone): one after the other, answered together.
task<http_reply> serve_batch(call& of, http_session& session, std::string_view body) {
  const auto all = split_array(body);
  if (session.whose->version != "2025-03-26" || !all || all->empty() || all->size() > batch_max) {
    message_fault wrong{{fault_code::invalid_request, "a message is one JSON object", {}, 400}, "null"};
    co_return fault_reply(of, wrong);
  }
  std::string out;
  std::vector<std::shared_ptr<exchange>> answered;
  for (const auto each : *all) {
    auto one = std::make_shared<exchange>(of.at, std::string(each));
    const auto read = read_message(one->of.text);
    std::string response;
    if (const auto* wrong = std::get_if<message_fault>(&read)) {
      response = write_fault(wrong->id, wrong->why);
    } else if (const auto& said = std::get<message>(read); said.kind == message_kind::request) {
      hub::read_into(one->of, said);
      set_caller(of, one->of);
      read_peer(one->of, session.whose);
      response = co_await answer_one(of, session, one);
      if (one->is_left())
        co_return accepted(); // to nobody; what is left of the batch is not begun
      answered.push_back(one);
    } else if (said.kind == message_kind::response) {
      session.whose->take_response(said);
    } else {
      of.at.protocol().take_notification(*session.whose, said);
    }
    if (!response.empty())
      out += (out.empty() ? "[" : ",") + response;
  }
  if (out.empty())
    co_return accepted();
  auto reply = json_message(200, out + "]");
  reply.on_undelivered = [answered] {
    for (const auto& each : answered)
      each->note_undelivered();
  };
  co_return reply;
}

task<http_reply> serve_legacy(call& of, std::shared_ptr<exchange> one, message said) {
  auto& at = of.at.protocol();
  if (said.kind == message_kind::request && said.method == "initialize" && !of.request.mcp.session)
    co_return co_await open_session(of, std::move(one));
  if (!of.request.mcp.session) {
    message_fault wrong{{fault_code::invalid_request,
                         "the header Mcp-Session-Id is missing: begin with initialize, or name the version " +
                             std::string(modern_version) + " in the header MCP-Protocol-Version and in _meta",
                         {},
                         400},
                        said.id.empty() ? "null" : std::string(said.id)};
    co_return fault_reply(of, wrong);
  }
  const auto session = at.sessions().find(*of.request.mcp.session, of.who);
  if (!session)
    co_return fault_reply(of, no_session);
  if (auto wrong = check_version(of, said.id.empty() ? "null" : said.id))
    co_return fault_reply(of, *wrong);
  if (said.kind == message_kind::response) {
    session->whose->take_response(said);
    co_return accepted();
  }
  if (said.kind == message_kind::notification) {
    at.take_notification(*session->whose, said);
    co_return accepted();
  }
  read_peer(one->of, session->whose);
  co_return co_await serve_exchange(of, std::move(one));
}

bool is_modern(const call& of, const request& said) {
  const auto& told = of.request.mcp;
  return said.spoken == era::modern ||
         (!told.session && (told.version ? !is_legacy_version(*told.version) : told.method.has_value()));
}

} // namespace

task<http_reply> handle_post_mcp(call& of) {
  auto& at = of.at.protocol();
  const auto body = of.said.raw_body;
  if (body.substr(std::min(body.find_first_not_of(" \t\r\n"), body.size())).starts_with('[') &&
      of.request.mcp.session) {
    const auto session = at.sessions().find(*of.request.mcp.session, of.who);
    if (!session)
      co_return fault_reply(of, no_session);
    if (auto wrong = check_version(of))
      co_return fault_reply(of, *wrong);
    if (auto checked = check_json(body, limits::document_depth_max * 10); !checked) {
      message_fault wrong{{fault_code::parse_error, checked.failure().message, {}, 400}, "null"};
      co_return fault_reply(of, wrong);
    }
    co_return co_await serve_batch(of, *session, body);
  }
  auto one = std::make_shared<exchange>(of.at, std::string(body));
  auto read = read_message(one->of.text);
  if (const auto* wrong = std::get_if<message_fault>(&read))
    co_return fault_reply(of, *wrong);
  auto& said = std::get<message>(read);
  hub::read_into(one->of, said);
  set_caller(of, one->of);
  if (!is_modern(of, one->of))
    co_return co_await serve_legacy(of, std::move(one), std::move(said));
  one->of.spoken = era::modern;
  if (said.kind != message_kind::request)
    co_return accepted(); // none of them asks for anything
  auto why = at.check_modern(one->of);
  if (!why || why->code == fault_code::unsupported_version)
    if (auto mismatch = check_headers(of.request, one->of))
      why = std::move(mismatch);
  if (why) {
    message_fault wrong{std::move(*why), one->of.id};
    co_return fault_reply(of, wrong);
  }
  co_return co_await serve_exchange(of, std::move(one));
}

task<http_reply> handle_get_mcp(call& of) {
  if (!of.request.mcp.session) {
    auto reply = make_problem({error_code::method_not_allowed,
                               "GET is for sessions of the versions before 2026-07-28, by the header Mcp-Session-Id"},
                              of.request.id);
    reply.headers.emplace_back("Allow", "POST, OPTIONS");
    co_return reply;
  }
  const auto session = of.at.protocol().sessions().find(*of.request.mcp.session, of.who);
  if (!session)
    co_return fault_reply(of, no_session);
  if (auto wrong = check_version(of))
    co_return fault_reply(of, *wrong);
  if (session->has_stream)
    co_return make_problem({error_code::conflict, "this session has a stream already"}, of.request.id);
  session->has_stream = true;
  http_reply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.headers.emplace_back("X-Accel-Buffering", "no");
  auto& sessions = of.at.protocol().sessions();
  reply.stream = [session, &sessions, until = of.who.valid_until](reply_sink& sink) -> task<bool> {
    // It does not outlive what it was opened with. Named, as above.
    std::function<bool()> is_over = [until] { return until && *until <= system_time(); };
    bool is_whole = !session->knows_retry() || co_await sink.write(retry_event);
    is_whole = is_whole && co_await write_events(session->queue, sink, std::move(is_over));
    session->has_stream = false;
    if (!is_whole)
      sessions.note_lost_stream(session);
    co_return is_whole;
  };
  reply.on_undelivered = [session, &sessions] {
    session->has_stream = false;
    sessions.note_lost_stream(session);
  };
  co_return reply;
}

task<http_reply> handle_delete_mcp(call& of) {
  if (!of.request.mcp.session) {
    auto reply = make_problem({error_code::method_not_allowed,
                               "DELETE is for sessions of the versions before 2026-07-28, by the header "
                               "Mcp-Session-Id"},
                              of.request.id);
    reply.headers.emplace_back("Allow", "POST, OPTIONS");
    co_return reply;
  }
  auto& sessions = of.at.protocol().sessions();
  const auto session = sessions.find(*of.request.mcp.session, of.who);
  if (!session)
    co_return fault_reply(of, no_session);
  sessions.close(session);
  co_return no_content();
}

} // namespace colloquy::gateway
