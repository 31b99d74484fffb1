// Tools about sessions, their messages and their turns.
#include "gateway/mcp_tools.hpp"
#include "gateway/operation_fields.hpp"

#include <algorithm>

namespace colloquy::gateway::mcp {
namespace {

constexpr std::string_view outcomes[] = {"completed", "failed", "cancelled"};

constexpr field_rule session_rule = {
    .name = "session_id", .kind = field_kind::uuid, .about = "This one alone; then nothing else is taken."};
constexpr field_rule outcome_rule = {.name = "outcome",
                                     .kind = field_kind::word,
                                     .words = outcomes,
                                     .about = "How it ended; messages go with completed, reason with failed."};

/// A call whose arguments are the tool's.
task<answer> pass_on(request& of, operation_id id, const argument_list& arguments, bool is_untrusted = false) {
  auto filled = fill(id, arguments, of.arguments());
  if (!filled.mistakes.empty())
    co_return mistakes_answer(filled.mistakes);
  const auto reply = co_await run_inner(of, std::move(filled.call));
  co_return answer_of(reply, is_untrusted);
}

task<answer> create_session(request& of, const argument_list& arguments) {
  auto filled = fill(operation_id::create_session, arguments, of.arguments());
  if (!filled.mistakes.empty())
    co_return mistakes_answer(filled.mistakes);
  // Under a name of the caller's own the same call may come again, and from several at once: all get one session.
  if (auto name = of.arguments().text("external_id"); name && !name->empty()) {
    filled.call.id = operation_id::open_session;
    filled.call.path = {std::move(*name)};
    filled.call.idempotency_key.clear();
  }
  const auto reply = co_await run_inner(of, std::move(filled.call));
  co_return answer_of(reply);
}

task<answer> find_sessions(request& of, const argument_list& arguments) {
  const auto said = of.arguments();
  if (!said.has("session_id"))
    co_return co_await pass_on(of, operation_id::list_sessions, arguments);
  if (said.all().size() > 1)
    co_return mistake_answer("session_id goes with no other argument");
  inner_call wanted;
  wanted.id = operation_id::get_session;
  wanted.path = {said.text("session_id").value_or("")};
  auto reply = co_await run_inner(of, std::move(wanted));
  if (reply.status < 300)
    reply.body = "{\"items\":[" + reply.body + "],\"next_cursor\":null}";
  co_return answer_of(reply);
}

task<answer> append_messages(request& of, const argument_list& arguments) {
  if (of.arguments().has("turn_id"))
    co_return co_await pass_on(of, operation_id::append_turn_messages, arguments);
  const auto outside = arguments_of(operation_id::append_messages, {"session_id"});
  co_return co_await pass_on(of, operation_id::append_messages, outside);
}

task<answer> end_turn(request& of, const argument_list&) {
  const auto outcome = of.arguments().text("outcome").value_or("");
  if (std::find(std::begin(outcomes), std::end(outcomes), outcome) == std::end(outcomes))
    co_return mistake_answer("outcome must be completed, failed or cancelled");
  const auto id = outcome == "completed" ? operation_id::complete_turn
                  : outcome == "failed"  ? operation_id::fail_turn
                                         : operation_id::cancel_turn;
  auto arguments = arguments_of(id, {"session_id", "turn_id"});
  arguments.push_back({outcome_rule.name, &outcome_rule, place::none, true});
  co_return co_await pass_on(of, id, arguments);
}

argument_list end_turn_arguments() {
  auto all = arguments_of(operation_id::complete_turn, {"session_id", "turn_id"});
  all.insert(all.begin() + 2, {outcome_rule.name, &outcome_rule, place::none, true});
  for (auto each : arguments_of(operation_id::fail_turn, {"session_id", "turn_id"}, {"usage"}))
    if (each.name == "reason") {
      each.is_required = false;
      all.push_back(each);
    }
  return all;
}

argument_list append_arguments() {
  auto all = arguments_of(operation_id::append_turn_messages, {"session_id", "turn_id"});
  all[1].is_required = false;
  return all;
}

argument_list find_arguments() {
  auto all = arguments_of(operation_id::list_sessions);
  all.insert(all.begin(), {session_rule.name, &session_rule, place::none, false});
  return all;
}

} // namespace

tool make_tool(const tool_sketch& of, tool_body body) {
  tool made{of.name, of.title, of.description, input_schema(of.arguments)};
  if (of.result != nullptr)
    made.output_schema = output_schema(*of.result);
  made.is_read_only = of.is_read_only;
  made.is_destructive = of.is_destructive;
  made.is_idempotent = of.is_idempotent || of.is_read_only;
  made.needs = of.needs;
  made.call = [arguments = of.arguments, body = std::move(body)](request& from) { return body(from, arguments); };
  return made;
}

std::vector<tool> session_tools() {
  std::vector<tool> all;
  all.push_back(make_tool(
      {.name = "create_session",
       .title = "Make or find a conversation",
       .description = "Makes a session: a durable conversation with an ordered log. With external_id, a name of your "
                      "own, the session of that name is given if there is one, so the call may be repeated.",
       .arguments = arguments_of(operation_id::create_session),
       .result = &shapes::session,
       .needs = access::write},
      create_session));
  all.push_back(make_tool({.name = "find_sessions",
                           .title = "Get or list conversations",
                           .description = "One session by session_id, or sessions by user, agent and status, newest "
                                          "first, page by page.",
                           .arguments = find_arguments(),
                           .result = &shapes::session_page,
                           .is_read_only = true},
                          find_sessions));
  all.push_back(make_tool(
      {.name = "update_session",
       .title = "Change a conversation",
       .description = "Title, metadata, status or expiry. A paused or completed session is only read until it is "
                      "active again.",
       .arguments = arguments_of(operation_id::update_session, {"session_id"}),
       .result = &shapes::session,
       .is_destructive = true,
       .is_idempotent = true,
       .needs = access::write},
      [](request& of, const argument_list& with) { return pass_on(of, operation_id::update_session, with); }));
  all.push_back(make_tool({.name = "append_messages",
                           .title = "Write messages",
                           .description = "Appends messages to a session, all or none, in order; with turn_id inside "
                                          "that turn. durability durable answers once they are committed.",
                           .arguments = append_arguments(),
                           .result = &shapes::appended,
                           .needs = access::write},
                          append_messages));
  all.push_back(make_tool(
      {.name = "list_messages",
       .title = "Read messages",
       .description = "A session's messages by offset, or with token_budget the newest that fit a model's context.",
       .arguments = arguments_of(operation_id::list_messages, {"session_id"}),
       .result = &shapes::message_page,
       .is_read_only = true},
      [](request& of, const argument_list& with) { return pass_on(of, operation_id::list_messages, with); }));
  all.push_back(make_tool(
      {.name = "start_turn",
       .title = "Start a turn",
       .description = "Takes the session for one run of an agent, under a lease in time, and gives the history. Only "
                      "one turn runs at a time: others wait in line. End it with end_turn.",
       .arguments = arguments_of(operation_id::start_turn, {"session_id"}),
       .result = &shapes::started_turn,
       .needs = access::write},
      [](request& of, const argument_list& with) { return pass_on(of, operation_id::start_turn, with); }));
  all.push_back(make_tool({.name = "end_turn",
                           .title = "End a turn",
                           .description = "Completes it, with its last messages and the tokens used, or says that it "
                                          "failed or is cancelled. The same again is answered the same.",
                           .arguments = end_turn_arguments(),
                           .result = &shapes::turn,
                           .is_idempotent = true,
                           .needs = access::write},
                          end_turn));
  return all;
}

} // namespace colloquy::gateway::mcp
