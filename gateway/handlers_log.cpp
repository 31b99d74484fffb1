// A session's log: appending, reading, following.
#include "gateway/edge.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "gateway/stream_place.hpp"
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

task<http_reply> append(call& of, append_events wanted) {
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
  const bool has_more = fills_page(page.events, limit) || page.is_cut_short;
  const auto cursor = has_more ? to_cursor('e', page.read_through) : std::string();
  return json_reply(200, page, [&](json_writer& to, const event_page& of) {
    write_page(to, of.events, cursor,
               [&](json_writer& each_to, const event& each) { write_event(each_to, each, is_deleted(of, each)); });
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

bool wants_stream(const call& of) {
  return of.request.accept && of.request.accept->find("text/event-stream") != std::string_view::npos;
}

task<http_reply> follow(call& of, subscribe_events wanted) {
  auto place = std::make_shared<stream_place>(of.at, of.tenant);
  stream_terms terms{{kinds_of(of), of.said.query.text("source"), of.said.query.text("trace_id")},
                     of.who.key,
                     of.who.valid_until}; // it does not outlive what it was opened with
  auto stream = co_await of.at.streams().open(of.at.asks(), of.at.handles().directory, of.at.context(),
                                              std::move(wanted), std::move(terms), of.at.settings().request_timeout);
  if (!stream)
    co_return make_problem(stream.failure(), of.request.id);
  http_reply reply;
  reply.content_type = "text/event-stream";
  reply.headers.emplace_back("Cache-Control", "no-store");
  reply.headers.emplace_back("X-Accel-Buffering", "no");
  reply.stream = [&at = of.at, place, stream = *stream](reply_sink& sink) -> task<bool> {
    const bool is_whole = co_await stream->write_to(sink, at.asks(), at.handles().directory);
    at.streams().drop(*stream, at.asks(), at.handles().directory);
    co_return is_whole;
  };
  reply.on_undelivered = [&at = of.at, stream = *stream] {
    at.streams().drop(*stream, at.asks(), at.handles().directory);
  };
  co_return reply;
}

task<http_reply> erase_from_view(call& of, delete_events wanted) {
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  if (answer->through >= 0)
    of.at.audit(of, "event.delete", "session", of.session().id.to_string());
  co_return no_content();
}

task<http_reply> poll(call& of, read_events wanted) {
  const stream_place place(of.at, of.tenant);
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

task<http_reply> handle_append_messages(call& of) {
  append_events wanted;
  wanted.events = std::move(of.said.messages);
  wanted.repeat = of.repeat("messages");
  co_return co_await append(of, std::move(wanted));
}

task<http_reply> handle_append_turn_messages(call& of) {
  append_events wanted;
  wanted.events = std::move(of.said.messages);
  wanted.turn = of.turn();
  wanted.repeat = of.repeat("turn " + of.turn().to_string());
  co_return co_await append(of, std::move(wanted));
}

task<http_reply> handle_append_event(call& of) {
  auto input = to_event(of);
  if (!input)
    co_return make_problem(input.failure(), of.request.id);
  append_events wanted;
  wanted.events.push_back(std::move(input).value());
  wanted.repeat = of.repeat("events");
  co_return co_await append(of, std::move(wanted));
}

task<http_reply> handle_list_messages(call& of) {
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

task<http_reply> handle_list_events(call& of) {
  const auto& query = of.said.query;
  auto after = of.said.last_event_id.value_or(query.integer_or("after", -1));
  if (const auto cursor = query.text("cursor")) {
    const auto at = from_cursor('e', *cursor);
    if (!at)
      co_return make_problem(bad_cursor, of.request.id);
    after = *at;
  }
  after = std::max(after, query.integer_or("min_offset", 0) - 1);
  const auto wait = std::chrono::seconds{query.integer_or("wait_s", 0)};
  const bool streams = wants_stream(of);
  if (streams && query.truth("include_deleted"))
    co_return make_problem(
        {error_code::invalid_request, "include_deleted is for pages: a stream shows no deleted events"}, of.request.id);
  if (streams || wait.count() > 0)
    if (auto problem = stream_place::why_full(of.at, *of.tenant))
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
  wanted.source = query.text("source");
  wanted.trace_id = query.text("trace_id");
  wanted.with_deleted = query.truth("include_deleted");
  wanted.as_user = of.who.as_user;
  const auto limit = wanted.limit;
  if (wait.count() > 0)
    co_return co_await poll(of, std::move(wanted));
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return events_reply(*answer, limit);
}

task<http_reply> handle_delete_event(call& of) {
  const auto offset = of.said.path.integer_or("offset", 0);
  delete_events wanted{of.session(), {{offset, offset}}, std::nullopt, of.who.as_user};
  co_return co_await erase_from_view(of, std::move(wanted));
}

task<http_reply> handle_delete_events(call& of) {
  delete_events wanted{of.session(), {}, of.said.query.integer("from"), of.who.as_user};
  co_return co_await erase_from_view(of, std::move(wanted));
}

} // namespace colloquy::gateway
