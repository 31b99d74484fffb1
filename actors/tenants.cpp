#include "actors/tenants.hpp"

#include "actors/tenants_checks.hpp"
#include "db/audit_queries.hpp"
#include "db/key_queries.hpp"
#include "db/session_queries.hpp"
#include "db/tenant_queries.hpp"

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error ended{error_code::internal, "what looks after tenants ended; ask again", 100ms};
const error kept{error_code::internal, "what looks after tenants ended; the entry is kept, and will be written", 100ms};
const error busy{error_code::overloaded, "too many requests of this kind are under way", 100ms};

/// The bytes as one number, and one more.
audit_id after(audit_id id) {
  for (auto byte = id.bytes.rbegin(); byte != id.bytes.rend(); ++byte)
    if (++*byte != 0)
      break;
  return id;
}

} // namespace

tenants::tenants(caf::actor_config& config, supervisor_actor supervisor, tenants_options options,
                 std::shared_ptr<tenants_backlog> backlog)
  : tenants_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options))
  , backlog_(std::move(backlog))
  , audit_at_once_(options_.audit_batch_max) {}

tenants::behavior_type tenants::make_behavior() {
  usage_due_ = clock().now() + options_.usage_interval;
  key_uses_due_ = clock().now() + options_.key_use_interval;
  delayed_send(this, options_.audit_interval, tenants_tick{});
  return {[this](create_tenant& wanted) {
            return serve(wanted, {}, query_for(wanted), "create_tenant", db::decode_inserted_tenant);
          },
          [this](get_tenant& wanted) {
            return serve(wanted, wanted.id, db::read_tenant(wanted.id), "get_tenant",
                         [](const get_tenant&, const auto& outcome) { return db::decode_tenant(outcome); });
          },
          [this](list_tenants& wanted) {
            return serve(wanted, {}, query_for(wanted), "list_tenants", db::decode_tenant_page);
          },
          [this](set_quotas& wanted) {
            return serve(wanted, wanted.id, query_for(wanted), "set_quotas",
                         [](const set_quotas&, const auto& outcome) { return db::decode_tenant(outcome); });
          },
          [this](create_key& wanted) {
            return serve(wanted, wanted.tenant, query_for(wanted), "create_key", db::decode_inserted_key);
          },
          [this](rotate_key& wanted) {
            return serve(wanted, wanted.tenant, query_for(wanted), "rotate_key", db::decode_next_key);
          },
          [this](colloquy::revoke_key& wanted) {
            return serve(wanted, wanted.tenant, query_for(wanted), "revoke_key", db::decode_revoked_key);
          },
          [this](list_keys& wanted) {
            return serve(wanted, wanted.tenant, query_for(wanted), "list_keys", db::decode_key_page);
          },
          [this](find_key& wanted) { return find(wanted); },
          [this](note_key_use& use) { note_use(use); },
          [this](ensure_admin_key& wanted) {
            return serve(wanted, {}, query_for(wanted), "ensure_admin_key",
                         [](const ensure_admin_key& of, const auto& outcome) {
                           return db::decode_service_keys(of.sha256, outcome);
                         });
          },
          [this](write_audit& wanted) { return write(wanted); },
          [this](read_audit& wanted) {
            return serve(wanted, wanted.tenant, query_for(wanted), "read_audit", db::decode_audit_page);
          },
          [this](const flush_tenants& wanted) { return flush(wanted); },
          [this](tenants_tick) { on_tick(); }};
}

void tenants::on_exit() {
  for (auto& [number, say] : std::exchange(under_way_, {}))
    say();
  for (auto& [id, waiter] : std::exchange(audit_waiters_, {}))
    reply(waiter.answer, result<audit_written>(kept));
  for (auto& waiter : std::exchange(flushes_, {}))
    reply(waiter.answer, result<tenants_flushed>(ended));
  supervisor_ = nullptr;
}

template <class Request, class Decode>
promise_of<Request> tenants::serve(Request& wanted, const tenant_id& tenant, result<db::unit> query,
                                   std::string_view purpose, Decode decode) {
  using answer_type = result<typename Request::reply>;
  auto answer = make_response_promise<answer_type>();
  if (!query) {
    reply(answer, answer_type(query.failure()));
  } else if (under_way_.size() >= options_.under_way_max) {
    reply(answer, answer_type(busy));
  } else {
    const auto number = ++last_under_way_;
    under_way_.emplace(number, [answer] { reply(answer, answer_type(ended)); });
    const auto of = tenant.text(); // the request goes with the answer
    run(of, std::move(query).value(), purpose,
        [this, number, answer, decode, asked = std::move(wanted)](const db::unit_outcome& outcome) {
          if (under_way_.erase(number) > 0)
            reply(answer, decode(asked, outcome));
        });
  }
  return answer;
}

void tenants::run(const std::string& tenant, db::unit query, std::string_view purpose,
                  std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(query)};
  unit.tenant = tenant;
  unit.purpose = purpose;
  unit.deadline = clock().now() + options_.request_timeout;
  unit.idempotent = true;
  request(supervisor_, options_.request_timeout + pool_answer_margin, std::move(unit))
      .then(then, [then](const caf::error&) {
        then({{}, db::db_failure{db::failure_kind::wait, "57014", "no answer within the time allowed"}});
      });
}

audit_entry tenants::entry_of(const tenant_id& tenant, const audit_actor& by, const char* action,
                              const char* target_kind, std::string target) {
  return {next_audit_id(), tenant, options_.now(), by, action, target_kind, std::move(target)};
}

/// Ids rise within one thread, but this actor runs on any.
audit_id tenants::next_audit_id() {
  auto made = audit_id::make();
  if (made <= backlog_->last_entry)
    made = after(backlog_->last_entry);
  return backlog_->last_entry = made;
}

// --- the queries of requests that pass the checks --------------------------------------------------------------------

result<db::unit> tenants::query_for(const create_tenant& wanted) {
  if (auto problem = check_tenant(wanted))
    return *problem;
  return db::insert_tenant(wanted, entry_of(wanted.id, wanted.by, "tenant.create", "tenant", wanted.id.text()));
}

result<db::unit> tenants::query_for(const set_quotas& wanted) {
  if (auto problem = check_quotas(wanted))
    return *problem;
  return db::update_quotas(wanted, entry_of(wanted.id, wanted.by, "tenant.set_quotas", "tenant", wanted.id.text()));
}

result<db::unit> tenants::query_for(const list_tenants& wanted) {
  if (auto problem = check_limit(wanted.limit))
    return *problem;
  return db::list_tenants_page(wanted);
}

result<db::unit> tenants::query_for(const create_key& wanted) {
  if (auto problem = check_key(wanted))
    return *problem;
  const auto id = key_id::make();
  return db::insert_key(wanted, id, entry_of(wanted.tenant, wanted.by, "key.create", "key", id.to_string()));
}

result<db::unit> tenants::query_for(const rotate_key& wanted) {
  if (auto problem = check_rotation(wanted))
    return *problem;
  return db::insert_next_key(wanted, key_id::make(),
                             entry_of(wanted.tenant, wanted.by, "key.rotate", "key", wanted.id.to_string()));
}

result<db::unit> tenants::query_for(const colloquy::revoke_key& wanted) {
  if (auto problem = check_actor(wanted.by))
    return *problem;
  return db::revoke_key(wanted, entry_of(wanted.tenant, wanted.by, "key.revoke", "key", wanted.id.to_string()));
}

result<db::unit> tenants::query_for(const list_keys& wanted) {
  if (auto problem = check_limit(wanted.limit))
    return *problem;
  return db::list_keys_page(wanted);
}

result<db::unit> tenants::query_for(const ensure_admin_key& wanted) {
  if (auto problem = check_admin_key(wanted))
    return *problem;
  return db::keep_admin_key(wanted.sha256);
}

result<db::unit> tenants::query_for(const read_audit& wanted) {
  if (auto problem = check_filters(wanted))
    return *problem;
  return db::read_audit_page(wanted);
}

promise_of<find_key> tenants::find(find_key& wanted) {
  if (is_possible_prefix(wanted.prefix))
    return serve(wanted, {}, db::find_api_key(wanted.prefix), "find_api_key",
                 [](const find_key&, const auto& outcome) { return db::decode_found_key(outcome); });
  auto answer = make_response_promise<result<found_key>>();
  reply(answer, result<found_key>(found_key{}));
  return answer;
}

} // namespace colloquy::actors
