// A session's log: appending, reading, following.
#include "gateway/edge.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "messages/content.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

const error bad_cursor{error_code::invalid_request, "the cursor is not one that a page of this list ended with"};

/// Of what is appended, unless the caller said.
void set_trace(const call& of, std::vector<event_input>& events) {
  if (auto trace = of.trace_id(); !trace.empty())
    for (auto& each : events)
      if (each.trace_id.empty())
        each.trace_id = trace;
}

http_reply appended_reply(const call& of, const result<appended>& answer) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  return json_reply(answer->reached == durability::durable ? 201 : 202, *answer,
                    [](json_writer& to, const appended& where) { write(to, where); });
}

asio::awaitable<http_reply> append(call& of, append_events wanted) {
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  set_trace(of, wanted.events);
  if (of.said.query.text("durability") != "durable")
    co_return appended_reply(of, co_await of.at.ask(std::move(wanted)));
  wanted.wanted = durability::durable;
  const auto wait = of.at.metrics().begin_durable();
  auto answer = co_await of.at.ask(std::move(wanted));
  of.at.metrics().end_durable(wait, answer.has_value());
  co_return appended_reply(of, answer);
}

/// What `data` of an event is made of.
result<event_input> to_event(const call& of) {
  const auto& body = of.said.body;
  const auto kind = parse_event_kind(body.text_or("kind", "")).value_or(event_kind::custom);
  const auto data = body.raw_or("data", "null");
  event_input input;
  if (kind == event_kind::message) {
    auto message = parse_message(data);
    if (!message)
      return error{message.failure().code, "/data: " + message.failure().message};
    input = std::move(message).value();
  } else {
    input.kind = kind;
    input.data = std::string(data);
  }
  const auto most = static_cast<std::size_t>(
      of.tenant && of.tenant->record.quotas.message_bytes_max
          ? std::min<std::int64_t>(*of.tenant->record.quotas.message_bytes_max,
                                   static_cast<std::int64_t>(of.at.settings().message_bytes_max))
          : static_cast<std::int64_t>(of.at.settings().message_bytes_max));
  if (data.size() > most)
    return error{error_code::payload_too_large, "/data has " + std::to_string(data.size()) + " bytes; at most " +
                                                    std::to_string(most) + " are allowed"};
  input.source = body.text_or("source", "");
  input.trace_id = body.text_or("trace_id", "");
  return input;
}

bool fills_page(const std::vector<event>& events, std::size_t limit) {
  std::size_t bytes = 0;
  for (const auto& each : events)
    bytes += each.data.size();
  return events.size() >= limit || bytes >= limits::page_bytes_max;
}

http_reply events_reply(const event_page& page, std::size_t limit) {
  const auto cursor = fills_page(page.events, limit) ? to_cursor('e', page.read_through) : std::string();
  return json_reply(200, page.events, [&](json_writer& to, const std::vector<event>& events) {
    write_page(to, events, cursor, write_event);
  });
}

std::vector<event_kind> kinds_of(const call& of) {
  std::vector<event_kind> kinds;
  if (const auto* words = of.said.query.get<std::vector<std::string>>("kinds"))
    for (const auto& word : *words)
      if (const auto kind = parse_event_kind(word))
        kinds.push_back(*kind);
  return kinds;
}

/// One more of those who wait or follow; while it lives, it counts.
class stream_place {
public:
  explicit stream_place(call& of)
    : at_(of.at)
    , tenant_(of.tenant) {
    ++at_.metrics().streams;
    ++tenant_->streams;
  }
  stream_place(const stream_place&) = delete;
  stream_place& operator=(const stream_place&) = delete;
  ~stream_place() {
    --at_.metrics().streams;
    --tenant_->streams;
  }

  static std::optional<error> why_full(const call& of) {
    const auto& state = *of.tenant;
    const auto most = state.record.quotas.subscriptions_max;
    if (most && state.streams >= static_cast<std::size_t>(*most))
      return error{error_code::quota_exceeded,
                   "the tenant's quota is reached: subscriptions_max is " + std::to_string(*most),
                   std::chrono::milliseconds{1000}};
    if (of.at.metrics().streams >= of.at.settings().streams_max)
      return error{error_code::overloaded, "too many streams are open", std::chrono::milliseconds{1000}};
    return std::nullopt;
  }

private:
  edge& at_;
  tenant_state_ptr tenant_;
};

bool wants_stream(const call& of) {
  return of.request.accept && of.request.accept->find("text/event-stream") != std::string_view::npos;
}

asio::awaitable<http_reply> follow(call& of, subscribe_events wanted) {
  auto place = std::make_shared<stream_place>(of);
  stream_terms terms{kinds_of(of), of.who.key, of.who.valid_until}; // it does not outlive what it was opened with
  auto stream = co_await of.at.streams().open(of.at.asks(), of.at.handles().directory, of.at.context(),
                                              std::move(wanted), std::move(terms), of.at.settings().request_timeout);
  if (!stream)
    co_return make_problem(stream.failure(), of.request.id);
  http_reply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.headers.emplace_back("X-Accel-Buffering", "no");
  reply.stream = [&at = of.at, place, stream = *stream](reply_sink& sink) -> asio::awaitable<bool> {
    const bool is_whole = co_await stream->write_to(sink, at.asks(), at.handles().directory);
    at.streams().drop(*stream, at.asks(), at.handles().directory);
    co_return is_whole;
  };
  reply.on_undelivered = [&at = of.at, stream = *stream] {
    at.streams().drop(*stream, at.asks(), at.handles().directory);
  };
  co_return reply;
}

asio::awaitable<http_reply> poll(call& of, read_events wanted) {
  const stream_place place(of);
  const auto limit = wanted.limit;
  const auto wait = wanted.wait;
  ask_number number = 0;
  bool is_over = false;
  of.when_gone = [&] {
    is_over = true;
    of.at.asks().cancel(number);
  };
  auto answer = co_await of.at.ask(std::move(wanted), wait, &number);
  of.when_gone = nullptr;
  if (!answer && is_over)
    co_return events_reply({}, limit); // the service ends; or nobody hears it
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return events_reply(*answer, limit);
}

} // namespace

asio::awaitable<http_reply> handle_append_messages(call& of) {
  append_events wanted;
  wanted.events = std::move(of.said.messages);
  wanted.repeat = of.repeat("messages");
  co_return co_await append(of, std::move(wanted));
}

asio::awaitable<http_reply> handle_append_turn_messages(call& of) {
  append_events wanted;
  wanted.events = std::move(of.said.messages);
  wanted.turn = of.turn();
  wanted.repeat = of.repeat("turn " + of.turn().to_string());
  co_return co_await append(of, std::move(wanted));
}

asio::awaitable<http_reply> handle_append_event(call& of) {
  auto input = to_event(of);
  if (!input)
    co_return make_problem(input.failure(), of.request.id);
  append_events wanted;
  wanted.events.push_back(std::move(input).value());
  wanted.repeat = of.repeat("events");
  co_return co_await append(of, std::move(wanted));
}

asio::awaitable<http_reply> handle_list_messages(call& of) {
  const auto& query = of.said.query;
  read_history wanted;
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  wanted.order = query.text("order") == "desc" ? history_order::descending : history_order::ascending;
  wanted.after = query.integer("after");
  wanted.before = query.integer("before");
  wanted.limit = static_cast<std::size_t>(query.integer_or("limit", limits::page_default));
  wanted.token_budget = query.integer("token_budget");
  const bool is_fitted = wanted.token_budget.has_value();
  if (is_fitted && (query.has("order") || query.has("after") || query.has("cursor")))
    co_return make_problem({error_code::invalid_request,
                            "token_budget goes with before alone: not with order, after or "
                            "cursor"},
                           of.request.id);
  const bool is_descending = wanted.order == history_order::descending;
  const char kind = is_descending ? 'd' : 'a';
  if (const auto cursor = query.text("cursor")) {
    const auto at = from_cursor(kind, *cursor);
    if (!at)
      co_return make_problem(bad_cursor, of.request.id);
    (is_descending ? wanted.before : wanted.after) = *at;
  }
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [&](json_writer& to, const history_page& page) {
    to.open_object().key("items").open_array();
    for (const auto& each : page.messages)
      write_message(to, each);
    to.close_array().member_or_null("next_cursor",
                                    page.has_more && !is_fitted ? to_cursor(kind, page.next) : std::string());
    if (is_fitted)
      to.member("trimmed", page.trimmed);
    to.close_object();
  });
}

asio::awaitable<http_reply> handle_list_events(call& of) {
  const auto& query = of.said.query;
  auto after = of.said.last_event_id.value_or(query.integer_or("after", -1));
  if (const auto cursor = query.text("cursor")) {
    const auto at = from_cursor('e', *cursor);
    if (!at)
      co_return make_problem(bad_cursor, of.request.id);
    after = *at;
  }
  const auto wait = std::chrono::seconds{query.integer_or("wait_s", 0)};
  const bool streams = wants_stream(of);
  if (streams || wait.count() > 0)
    if (auto problem = stream_place::why_full(of))
      co_return make_problem(*problem, of.request.id);
  if (streams) {
    subscribe_events wanted{of.session(), of.at.asks().subscriber(), after, of.who.as_user};
    co_return co_await follow(of, std::move(wanted));
  }
  read_events wanted;
  wanted.session = of.session();
  wanted.after = after;
  wanted.limit = static_cast<std::size_t>(query.integer_or("limit", limits::page_default));
  wanted.wait = wait;
  wanted.kinds = kinds_of(of);
  wanted.as_user = of.who.as_user;
  const auto limit = wanted.limit;
  if (wait.count() > 0)
    co_return co_await poll(of, std::move(wanted));
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return events_reply(*answer, limit);
}

} // namespace colloquy::gateway
