// Context variables, their tags and their values.
#include "gateway/store_replies.hpp"

namespace colloquy::gateway {
namespace {

/// The same as for a customer that is not there.
const error not_of_that_user{error_code::not_found, "there is no such customer"};

/// What is told of a variable is told of all users. Where the path names one, it is as if it were not there.
std::optional<error> why_not(const call& of) {
  if (!of.who.as_user)
    return std::nullopt;
  if (of.said.path.has("id"))
    return error{error_code::not_found, "there is no such context variable"};
  return error{error_code::forbidden, "this is about variables of all users, and not for one user alone"};
}

/// `action` is what the audit log calls it; nothing: it changes nothing.
template <class Request>
task<result<typename Request::reply>> ask_variables(call& of, Request wanted, const char* action) {
  if (auto problem = why_not(of))
    co_return *problem;
  auto answer = co_await of.at.ask(of.at.handles().context_variables, std::move(wanted));
  if (answer && action != nullptr)
    of.at.audit(of, action, "context_variable", of.said.path.text_or("id", ""));
  co_return answer;
}

/// A text that may be taken away: none if it was not given, none inside if it was null.
std::optional<std::optional<std::string>> change_of(const call& of, std::string_view name) {
  if (!of.said.body.has(name))
    return std::nullopt;
  return of.said.body.text(name);
}

void write_variable(json_writer& to, const context_variable_record& each) {
  to.open_object()
      .member("id", each.id)
      .member_or_null("creation_utc", each.creation_utc)
      .member("name", each.name)
      .member("description", each.description)
      .member("tool_id", each.tool_id)
      .member("freshness_rules", each.freshness_rules)
      .key("tags");
  write_tags(to, each.tags);
  to.close_object();
}

void write_value(json_writer& to, const context_value_record& each) {
  to.open_object()
      .member("key", each.key)
      .raw_member("data", each.data)
      .member("last_modified", each.last_modified)
      .member("is_stale", each.is_stale)
      .close_object();
}

} // namespace

task<http_reply> handle_create_context_variable(call& of) {
  const auto& body = of.said.body;
  create_context_variable wanted;
  wanted.tenant = of.who.tenant;
  wanted.id = body.text("id");
  wanted.name = body.text_or("name", "");
  wanted.description = body.text("description");
  wanted.tool_id = body.text("tool_id");
  wanted.freshness_rules = body.text("freshness_rules");
  wanted.tags = tags_said(of);
  wanted.repeat = of.repeat();
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  if (answer)
    of.at.audit(of, "context_variable.create", "context_variable", answer->id);
  co_return store_reply(of, 201, answer, write_variable);
}

task<http_reply> handle_list_context_variables(call& of) {
  auto wanted = store_page_request<list_context_variables>(of);
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  co_return store_reply(of, 200, answer, [](json_writer& to, const context_variable_page& page) {
    write_page(to, page.variables, page.next_cursor, write_variable);
  });
}

task<http_reply> handle_get_context_variable(call& of) {
  auto wanted = store_request<get_context_variable>(of);
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  co_return store_reply(of, 200, answer, write_variable);
}

task<http_reply> handle_update_context_variable(call& of) {
  auto wanted = store_request<update_context_variable>(of);
  wanted.name = of.said.body.text("name");
  wanted.description = change_of(of, "description");
  wanted.tool_id = change_of(of, "tool_id");
  wanted.freshness_rules = change_of(of, "freshness_rules");
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.update");
  co_return store_reply(of, 200, answer, write_variable);
}

task<http_reply> handle_delete_context_variable(call& of) {
  auto wanted = store_request<delete_context_variable>(of);
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.delete");
  co_return answer ? no_content() : make_problem(answer.failure(), of.request.id);
}

task<http_reply> handle_list_context_variable_tags(call& of) {
  auto wanted = store_request<get_context_variable>(of);
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  co_return tags_reply(of, answer);
}

task<http_reply> handle_tag_context_variable(call& of) {
  auto wanted = store_request<tag_context_variable>(of);
  wanted.tag = of.said.body.text_or("tag", "");
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.tag");
  co_return store_reply(of, 200, answer, write_variable);
}

task<http_reply> handle_untag_context_variable(call& of) {
  auto wanted = store_request<untag_context_variable>(of);
  wanted.tag = of.said.path.text_or("tag", "");
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.untag");
  co_return store_reply(of, 200, answer, write_variable);
}

// ---- values

task<http_reply> handle_list_context_values(call& of) {
  auto wanted = store_page_request<list_context_values>(of);
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  co_return store_reply(of, 200, answer, [](json_writer& to, const context_value_page& page) {
    write_page(to, page.values, page.next_cursor, write_value);
  });
}

task<http_reply> handle_put_context_value(call& of) {
  auto wanted = store_request<put_context_value>(of);
  wanted.key = of.said.path.text_or("key", "");
  wanted.data = std::string(of.said.body.raw_or("data", "null"));
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.set");
  co_return store_reply(of, 200, answer, write_value);
}

task<http_reply> handle_get_context_value(call& of) {
  auto wanted = store_request<get_context_value>(of);
  wanted.key = of.said.path.text_or("key", "");
  auto answer = co_await ask_variables(of, std::move(wanted), nullptr);
  co_return store_reply(of, 200, answer, write_value);
}

task<http_reply> handle_delete_context_value(call& of) {
  auto wanted = store_request<delete_context_value>(of);
  wanted.key = of.said.path.text_or("key", "");
  auto answer = co_await ask_variables(of, std::move(wanted), "context_variable.unset");
  co_return answer ? no_content() : make_problem(answer.failure(), of.request.id);
}

task<http_reply> handle_look_up_context_value(call& of) {
  auto wanted = store_request<look_up_context_value>(of);
  wanted.customer_id = of.said.query.text("customer_id");
  wanted.agent_id = of.said.query.text("agent_id");
  if (of.who.as_user && !wanted.customer_id)
    wanted.customer_id = of.who.as_user;
  if (of.who.as_user && wanted.customer_id != of.who.as_user)
    co_return make_problem(not_of_that_user, of.request.id);
  auto answer = co_await of.at.ask(of.at.handles().context_variables, std::move(wanted));
  co_return store_reply(of, 200, answer, [](json_writer& to, const looked_up_value& found) {
    to.open_object().key("value");
    if (found.value)
      write_value(to, *found.value);
    else
      to.null();
    to.close_object();
  });
}

} // namespace colloquy::gateway
