// Turns: one run of the agent each.
#include "gateway/edge.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "messages/content.hpp"

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

http_reply turn_reply(const call& of, const result<turn_record>& answer) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  return json_reply(200, *answer, [](json_writer& to, const turn_record& turn) { write(to, turn); });
}

std::optional<token_usage> usage_of(const values& body) {
  const auto* usage = body.shape("usage");
  if (usage == nullptr)
    return std::nullopt;
  return token_usage{usage->integer_or("input_tokens", 0), usage->integer_or("output_tokens", 0)};
}

/// What a turn begins or ends with, with the request's trace, as what is appended otherwise.
std::vector<event_input> messages_of(const call& of) {
  auto messages = of.said.body.messages("messages");
  for (auto& each : messages)
    each.trace_id = of.trace_id();
  return messages;
}

task<http_reply> end(call& of, end_turn wanted) {
  wanted.session = of.session();
  wanted.turn = of.turn();
  wanted.as_user = of.who.as_user;
  auto answer = co_await of.at.ask(std::move(wanted));
  if (answer)
    of.at.metrics().note_turn_ended(to_string(answer->status));
  co_return turn_reply(of, answer);
}

start_turn to_start_turn(const call& of) {
  const auto& body = of.said.body;
  start_turn wanted;
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  wanted.trace_id = of.trace_id();
  wanted.events = messages_of(of);
  wanted.policy = parse_turn_policy(body.text_or("policy", "enqueue")).value_or(turn_policy::enqueue);
  wanted.lease = std::chrono::seconds{body.integer_or("lease_s", limits::lease_default.count())};
  wanted.wait = std::chrono::seconds{body.integer_or("wait_s", limits::turn_wait_default.count())};
  wanted.token_budget = body.integer("token_budget");
  wanted.id = turn_id::make();
  wanted.repeat = of.repeat();
  return wanted;
}

/// Whoever was to have the turn will never know of it.
end_turn cancellation(const session_key& session, turn_id turn) {
  end_turn wanted;
  wanted.session = session;
  wanted.turn = turn;
  wanted.outcome = turn_status::cancelled;
  return wanted;
}

/// An object without that member, for those who listen: the text they get for itself.
std::string without_member(std::string_view object, std::string_view name) {
  const auto members = split_object(object);
  std::string out;
  json_writer to(out);
  to.open_object();
  if (members)
    for (const auto& [key, value] : *members)
      if (key != name) {
        std::string quoted_key;
        append_quoted(quoted_key, key);
        to.raw(quoted_key + ":" + std::string(value));
      }
  to.close_object();
  return out;
}

void write_started(json_writer& to, const granted_turn& granted) {
  to.open_object().key("turn");
  write(to, granted.turn);
  to.key("history").open_object().key("items").open_array();
  for (const auto& each : granted.history.messages)
    write_message(to, each);
  to.close_array().member("trimmed", granted.history.trimmed).close_object().close_object();
}

} // namespace

task<http_reply> handle_start_turn(call& of) {
  auto wanted = to_start_turn(of);
  const auto session = wanted.session;
  const auto id = *wanted.id;
  const auto wait = wanted.wait;
  ask_number number = 0;
  const auto give_back = [&at = of.at, session, id] {
    at.asks().tell(at.handles().directory, cancellation(session, id));
  };
  of.when_gone = [&] {
    give_back();
    of.at.asks().cancel(number);
  };
  auto answer = co_await of.at.ask(std::move(wanted), wait, &number);
  of.when_gone = nullptr;
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.metrics().note_turn_started();
  auto reply =
      json_reply(201, *answer, [](json_writer& to, const granted_turn& granted) { write_started(to, granted); });
  if (answer->turn.id == id) // a repeat's turn is somebody's already
    reply.on_undelivered = give_back;
  co_return reply;
}

task<http_reply> handle_list_turns(call& of) {
  const auto& query = of.said.query;
  list_turns wanted;
  wanted.session = of.session();
  wanted.as_user = of.who.as_user;
  wanted.limit = static_cast<std::size_t>(query.integer_or("limit", limits::page_default));
  if (const auto cursor = query.text("cursor")) {
    wanted.before = from_cursor('t', *cursor);
    if (!wanted.before)
      co_return make_problem({error_code::invalid_request, "the cursor is not one that a page of this list ended with"},
                             of.request.id);
  }
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  const auto cursor = answer->next_before ? to_cursor('t', *answer->next_before) : std::string();
  co_return json_reply(200, answer->turns, [&](json_writer& to, const std::vector<turn_record>& turns) {
    write_page(to, turns, cursor, [](json_writer& each_to, const turn_record& each) { write(each_to, each); });
  });
}

task<http_reply> handle_post_delta(call& of) {
  post_delta wanted;
  wanted.session = of.session();
  wanted.turn = of.turn();
  wanted.as_user = of.who.as_user;
  wanted.text = of.said.body.text_or("text", "");
  wanted.data = without_member(of.said.raw_body, "text");
  auto answer = co_await of.at.ask(std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const delta_passed& passed) {
    to.open_object().member("listeners", passed.listeners).close_object();
  });
}

task<http_reply> handle_renew_turn(call& of) {
  const std::chrono::seconds lease{of.said.body.integer_or("lease_s", limits::lease_default.count())};
  renew_turn wanted{of.session(), of.turn(), lease, of.who.as_user};
  co_return turn_reply(of, co_await of.at.ask(std::move(wanted)));
}

task<http_reply> handle_complete_turn(call& of) {
  end_turn wanted;
  wanted.outcome = turn_status::completed;
  wanted.usage = usage_of(of.said.body);
  wanted.events = messages_of(of);
  co_return co_await end(of, std::move(wanted));
}

task<http_reply> handle_fail_turn(call& of) {
  end_turn wanted;
  wanted.outcome = turn_status::failed;
  wanted.usage = usage_of(of.said.body);
  wanted.reason = of.said.body.text_or("reason", "");
  co_return co_await end(of, std::move(wanted));
}

task<http_reply> handle_cancel_turn(call& of) {
  end_turn wanted;
  wanted.outcome = turn_status::cancelled;
  co_return co_await end(of, std::move(wanted));
}

} // namespace colloquy::gateway
