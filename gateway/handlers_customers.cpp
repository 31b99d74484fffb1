// Customers and their tags.
#include "gateway/store_replies.hpp"

namespace colloquy::gateway {
namespace {

/// Who sees one user's things sees that customer alone.
std::optional<error> why_hidden(const call& of) {
  if (!of.who.as_user || *of.who.as_user == of.said.path.text_or("id", ""))
    return std::nullopt;
  return error{error_code::not_found, "there is no such customer"};
}

const error not_for_one_user{error_code::forbidden, "this is about customers of all users, and not for one user alone"};

void write_customer(json_writer& to, const customer_record& each) {
  to.open_object()
      .member("id", each.id)
      .member_or_null("creation_utc", each.creation_utc)
      .member("name", each.name)
      .raw_member("extra", each.extra)
      .key("tags");
  write_tags(to, each.tags);
  to.close_object();
}

/// A tag gives values of context variables: nobody takes them by one's own key.
std::optional<error> why_not_tagged(const call& of) {
  if (auto problem = why_hidden(of))
    return problem;
  if (!of.who.as_user)
    return std::nullopt;
  return error{error_code::forbidden,
               "a tag tells which values hold for a customer; it is not for that user to change"};
}

/// `action` is what the audit log calls it; nothing: it changes nothing.
template <class Request>
task<result<typename Request::reply>> ask_about_one(call& of, Request wanted, const char* action) {
  if (auto problem = why_hidden(of))
    co_return *problem;
  auto answer = co_await of.at.ask(of.at.handles().customers, std::move(wanted));
  if (answer && action != nullptr)
    of.at.audit(of, action, "customer", of.said.path.text_or("id", ""));
  co_return answer;
}

} // namespace

task<http_reply> handle_create_customer(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  const auto& body = of.said.body;
  create_customer wanted;
  wanted.tenant = of.who.tenant;
  wanted.id = body.text("id");
  wanted.name = body.text_or("name", "");
  wanted.extra = std::string(body.raw_or("extra", "{}"));
  wanted.tags = tags_said(of);
  wanted.repeat = of.repeat();
  auto answer = co_await of.at.ask(of.at.handles().customers, std::move(wanted));
  if (answer)
    of.at.audit(of, "customer.create", "customer", answer->id);
  co_return store_reply(of, 201, answer, write_customer);
}

task<http_reply> handle_list_customers(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  auto wanted = store_page_request<list_customers>(of);
  auto answer = co_await of.at.ask(of.at.handles().customers, std::move(wanted));
  co_return store_reply(of, 200, answer, [](json_writer& to, const customer_page& page) {
    write_page(to, page.customers, page.next_cursor, write_customer);
  });
}

task<http_reply> handle_get_customer(call& of) {
  auto wanted = store_request<get_customer>(of);
  auto answer = co_await ask_about_one(of, std::move(wanted), nullptr);
  co_return store_reply(of, 200, answer, write_customer);
}

task<http_reply> handle_update_customer(call& of) {
  const auto& body = of.said.body;
  auto wanted = store_request<update_customer>(of);
  wanted.name = body.text("name");
  if (body.has("extra"))
    wanted.extra = std::string(body.raw_or("extra", "{}"));
  auto answer = co_await ask_about_one(of, std::move(wanted), "customer.update");
  co_return store_reply(of, 200, answer, write_customer);
}

task<http_reply> handle_delete_customer(call& of) {
  auto wanted = store_request<delete_customer>(of);
  auto answer = co_await ask_about_one(of, std::move(wanted), "customer.delete");
  co_return answer ? no_content() : make_problem(answer.failure(), of.request.id);
}

task<http_reply> handle_list_customer_tags(call& of) {
  auto wanted = store_request<get_customer>(of);
  auto answer = co_await ask_about_one(of, std::move(wanted), nullptr);
  co_return tags_reply(of, answer);
}

task<http_reply> handle_tag_customer(call& of) {
  if (auto problem = why_not_tagged(of))
    co_return make_problem(*problem, of.request.id);
  auto wanted = store_request<tag_customer>(of);
  wanted.tag = of.said.body.text_or("tag", "");
  auto answer = co_await ask_about_one(of, std::move(wanted), "customer.tag");
  co_return store_reply(of, 200, answer, write_customer);
}

task<http_reply> handle_untag_customer(call& of) {
  if (auto problem = why_not_tagged(of))
    co_return make_problem(*problem, of.request.id);
  auto wanted = store_request<untag_customer>(of);
  wanted.tag = of.said.path.text_or("tag", "");
  auto answer = co_await ask_about_one(of, std::move(wanted), "customer.untag");
  co_return store_reply(of, 200, answer, write_customer);
}

} // namespace colloquy::gateway
