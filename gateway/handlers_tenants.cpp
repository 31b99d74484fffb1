// Tenants, their keys, their audit log.
#include "gateway/edge.hpp"
#include "gateway/mcp_hub.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "gateway/secrets.hpp"
#include "gateway/sql_values.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

constexpr int prefixes_tried_max = 3;
const error key_is_over{error_code::unauthenticated, "the key is not valid any more"};
const error no_random{error_code::internal, "the operating system gave no random bytes"};

tenant_quotas to_quotas(const values& body) {
  return {body.integer("requests_per_s"),        body.integer("request_burst"),     body.integer("sessions_max"),
          body.integer("resident_sessions_max"), body.integer("stored_bytes_max"),  body.integer("running_turns_max"),
          body.integer("subscriptions_max"),     body.integer("message_bytes_max"), body.integer("connections_max")};
}

template <class Write>
http_reply tenant_reply(const call& of, unsigned status, const result<tenant_record>& answer, Write write_it) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  of.at.tenants().note(*answer);
  return json_reply(status, *answer, write_it);
}

void write_quotas_alone(json_writer& to, const tenant_record& tenant) {
  to.open_object();
  write_quotas(to, tenant);
  to.close_object();
}

void write_all(json_writer& to, const tenant_record& tenant) {
  write(to, tenant);
}

key_scopes to_scopes(const std::vector<std::string>* words) {
  const auto has = [&](const char* word) {
    return words != nullptr && std::find(words->begin(), words->end(), word) != words->end();
  };
  return {has("read"), has("write"), has("admin")};
}

/// The key, and its record: `keep` makes that. Another key is made if its prefix is taken, which never happens.
template <class Keep>
task<http_reply> give_key(call& of, Keep keep) {
  result<api_key_record> kept = no_random;
  std::optional<new_key> key;
  for (int i = 0; i < prefixes_tried_max; ++i) {
    key = make_key();
    if (!key)
      co_return make_problem(no_random, of.request.id);
    key_digest digest{key->prefix, sha256(key->text)};
    kept = co_await keep(std::move(digest));
    if (kept || kept.failure().code != error_code::conflict)
      break;
  }
  if (!kept)
    co_return make_problem(kept.failure(), of.request.id);
  of.at.keys().note_tenant_keys();
  auto reply = json_reply(201, *kept, [&](json_writer& to, const api_key_record& record) {
    to.open_object().member("key", key->text).key("record");
    write(to, record);
    to.close_object();
  });
  reply.headers.emplace_back("Cache-Control", "no-store");
  co_return reply;
}

key_id key_of(const call& of) {
  return key_id{of.said.path.maybe<uuid_bytes>("key").value_or(uuid_bytes{})};
}

/// What was opened with it does not outlive it: streams, clients of the Model Context Protocol, database sessions with
/// what they have locked.
void end_uses_of_key(call& of) {
  const auto key = key_of(of);
  of.at.streams().close_of_key(key, key_is_over);
  of.at.protocol().close_of_key(key);
  principal gone;
  gone.kind = principal_kind::key;
  gone.tenant = of.who.tenant;
  gone.key = key;
  const auto owner = database_owner_of(gone);
  if (owner && of.at.handles().database_sessions)
    of.at.asks().tell(of.at.handles().database_sessions, close_database_sessions_of{*owner, key_is_over.message});
}

template <class Request>
Request page_request(const call& of) {
  Request wanted;
  wanted.limit = static_cast<std::size_t>(of.said.query.integer_or("limit", limits::page_default));
  wanted.cursor = of.said.query.text_or("cursor", "");
  return wanted;
}

} // namespace

task<http_reply> handle_create_tenant(call& of) {
  const auto& body = of.said.body;
  const auto id = tenant_id::parse(body.text_or("id", ""));
  if (!id)
    co_return make_problem({error_code::invalid_request, "/id must be 1 to 63 of a-z, 0-9, - and _, beginning with a "
                                                         "letter or digit"},
                           of.request.id);
  create_tenant wanted;
  wanted.id = *id;
  wanted.title = body.text_or("title", "");
  if (const auto* quotas = body.shape("quotas"))
    wanted.quotas = to_quotas(*quotas);
  wanted.repeat = of.repeat();
  wanted.by = of.at.actor_of(of);
  auto answer = co_await of.at.ask(of.at.handles().tenants, std::move(wanted));
  co_return tenant_reply(of, 201, answer, write_all);
}

task<http_reply> handle_list_tenants(call& of) {
  auto answer = co_await of.at.ask(of.at.handles().tenants, page_request<list_tenants>(of));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const tenant_page& page) {
    write_page(to, page.tenants, page.next_cursor, write_all);
  });
}

task<http_reply> handle_get_tenant(call& of) {
  get_tenant wanted{of.who.tenant};
  co_return tenant_reply(of, 200, co_await of.at.ask(of.at.handles().tenants, std::move(wanted)), write_all);
}

task<http_reply> handle_get_quotas(call& of) {
  get_tenant wanted{of.who.tenant};
  co_return tenant_reply(of, 200, co_await of.at.ask(of.at.handles().tenants, std::move(wanted)), write_quotas_alone);
}

task<http_reply> handle_set_quotas(call& of) {
  set_quotas wanted{of.who.tenant, to_quotas(of.said.body), of.at.actor_of(of)};
  co_return tenant_reply(of, 200, co_await of.at.ask(of.at.handles().tenants, std::move(wanted)), write_quotas_alone);
}

task<http_reply> handle_create_key(call& of) {
  const auto& body = of.said.body;
  create_key wanted;
  wanted.tenant = of.who.tenant;
  wanted.name = body.text_or("name", "");
  wanted.scopes = to_scopes(body.get<std::vector<std::string>>("scopes"));
  wanted.user_id = body.text("user_id");
  if (const auto seconds = body.integer("expires_in_s"))
    wanted.expires_in = std::chrono::seconds{*seconds};
  wanted.by = of.at.actor_of(of);
  const auto keep = [&](key_digest digest) {
    wanted.digest = std::move(digest);
    return of.at.ask(of.at.handles().tenants, wanted);
  };
  co_return co_await give_key(of, keep);
}

task<http_reply> handle_list_keys(call& of) {
  auto wanted = page_request<list_keys>(of);
  wanted.tenant = of.who.tenant;
  auto answer = co_await of.at.ask(of.at.handles().tenants, std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const key_page& page) {
    write_page(to, page.keys, page.next_cursor,
               [](json_writer& each_to, const api_key_record& each) { write(each_to, each); });
  });
}

task<http_reply> handle_rotate_key(call& of) {
  rotate_key wanted;
  wanted.tenant = of.who.tenant;
  wanted.id = key_of(of);
  wanted.grace = std::chrono::seconds{of.said.body.integer_or("grace_s", 0)};
  wanted.by = of.at.actor_of(of);
  const auto keep = [&](key_digest digest) {
    wanted.digest = std::move(digest);
    return of.at.ask(of.at.handles().tenants, wanted);
  };
  auto reply = co_await give_key(of, keep);
  of.at.keys().forget_key(key_of(of));
  if (reply.status == 201 && wanted.grace.count() == 0)
    end_uses_of_key(of);
  co_return reply;
}

task<http_reply> handle_revoke_key(call& of) {
  revoke_key wanted{of.who.tenant, key_of(of), of.at.actor_of(of)};
  auto answer = co_await of.at.ask(of.at.handles().tenants, std::move(wanted));
  of.at.keys().forget_key(key_of(of));
  if (answer || answer.failure().code != error_code::not_found) // then it may be somebody else's
    end_uses_of_key(of);
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return no_content();
}

task<http_reply> handle_list_audit(call& of) {
  if (of.who.is_operator())
    co_return make_problem({error_code::forbidden, "this needs a key of the tenant with scope admin"}, of.request.id);
  const auto& query = of.said.query;
  auto wanted = page_request<read_audit>(of);
  wanted.tenant = of.who.tenant;
  wanted.from = query.maybe<timestamp>("from");
  wanted.to = query.maybe<timestamp>("to");
  wanted.actor = query.text("actor");
  wanted.action = query.text("action");
  wanted.target = query.text("target");
  auto answer = co_await of.at.ask(of.at.handles().tenants, std::move(wanted));
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  co_return json_reply(200, *answer, [](json_writer& to, const audit_page& page) {
    write_page(to, page.entries, page.next_cursor,
               [](json_writer& each_to, const audit_entry& each) { write(each_to, each); });
  });
}

} // namespace colloquy::gateway
