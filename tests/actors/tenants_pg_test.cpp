// Tenants end to end: a service on a real server.
#include "tests/support/catch.hpp"
#include "tests/support/eventually.hpp"
#include "tests/support/test_service.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

template <class Request>
result<typename Request::reply> ask(test_service& service, Request request) {
  caf::scoped_actor self{service.system()};
  result<typename Request::reply> outcome{error{error_code::internal, "no answer"}};
  self->request(service.service().tenants(), call_timeout, std::move(request))
      .receive([&](result<typename Request::reply>& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) {
                 outcome = error{error_code::internal, "caf: " + service.system().render(failed)};
               });
  return outcome;
}

create_tenant named(const std::string& name) {
  create_tenant wanted;
  wanted.id = tenant(name);
  wanted.by = {"admin", "r1"};
  return wanted;
}

create_key key_of(const std::string& name, const std::string& prefix) {
  create_key wanted;
  wanted.tenant = tenant(name);
  wanted.scopes = {true, true, false};
  wanted.digest = {prefix, std::string(32, 'x')};
  wanted.by = {"admin", "r2"};
  return wanted;
}

std::string actions(test_service& service, const std::string& name) {
  const auto page = ask(service, read_audit{tenant(name)});
  REQUIRE(page);
  std::string out;
  for (const auto& each : page->entries)
    out += each.action + " ";
  return out;
}

} // namespace

TEST_CASE("a tenant's whole life: made, entered by keys, bounded, audited") {
  test_service service;
  CHECK_FALSE(ask(service, ensure_admin_key{})->has_tenant_keys);
  CHECK(ask(service, ensure_admin_key{std::string(32, 'k')})->kept);
  auto wanted = named("acme");
  wanted.title = "Acme";
  wanted.quotas.sessions_max = 3;
  REQUIRE(ask(service, wanted));
  CHECK(ask(service, wanted).failure().code == error_code::conflict);
  CHECK(ask(service, list_tenants{})->tenants.size() == 2);

  const auto key = ask(service, key_of("acme", "one"));
  REQUIRE(key);
  CHECK(ask(service, key_of("nobody", "two")).failure().code == error_code::not_found);
  CHECK(ask(service, key_of("acme", "one")).failure().code == error_code::conflict);
  const auto next = ask(service, rotate_key{tenant("acme"), key->id, 1h, {"two", std::string(32, 'y')}, {}});
  REQUIRE(next);
  CHECK(next->scopes == key->scopes);
  const auto found = ask(service, find_key{"two"});
  REQUIRE(found);
  REQUIRE(found->key);
  CHECK(found->key->sha256 == std::string(32, 'y'));
  CHECK(found->key->key.tenant == tenant("acme"));
  CHECK(ask(service, colloquy::revoke_key{tenant("rival"), next->id, {}}).failure().code == error_code::not_found);
  CHECK(ask(service, colloquy::revoke_key{tenant("acme"), next->id, {}})->revoked_at);
  CHECK_FALSE(ask(service, find_key{"two"})->key->key.is_valid(system_time()));
  CHECK(ask(service, list_keys{tenant("acme")})->keys.size() == 2);
  CHECK(ask(service, list_keys{tenant("rival")})->keys.empty());
  CHECK(ask(service, ensure_admin_key{})->has_tenant_keys);

  set_quotas quotas;
  quotas.id = tenant("acme");
  quotas.quotas.requests_per_s = 9;
  CHECK(ask(service, quotas)->quotas == quotas.quotas);
  CHECK(ask(service, get_tenant{tenant("acme")})->quotas == quotas.quotas);
  write_audit entry;
  entry.entry.tenant = tenant("acme");
  entry.entry.action = "session.create";
  entry.wait = true;
  REQUIRE(ask(service, entry));
  CHECK(actions(service, "acme") == "session.create tenant.set_quotas key.revoke key.rotate key.create tenant.create ");
  CHECK(actions(service, "rival") == "");
}

TEST_CASE("what a tenant stores is counted within a second or so, and is less when it is erased") {
  test_service service;
  REQUIRE(ask(service, named("acme")));
  const auto kept = service.make_session(), gone = service.make_session();
  const auto message = user_message("größe");
  for (const auto& each : {kept, gone})
    REQUIRE(service.append(each, {message, message}, durability::durable));
  const auto bytes = static_cast<std::int64_t>(message.data.size());
  const auto has = [&](std::int64_t sessions, std::int64_t stored) {
    return eventually([&] {
      const auto now = ask(service, get_tenant{tenant("acme")});
      return now && now->sessions == sessions && now->stored_bytes == stored;
    });
  };
  CHECK(has(2, 4 * bytes));
  REQUIRE(service.ask<erased>(erase_session{gone}));
  CHECK(has(1, 2 * bytes));
}

TEST_CASE("a service that stops has written its audit log, what its tenants have and when keys were used") {
  test_service service;
  REQUIRE(ask(service, named("acme")));
  const auto key = ask(service, key_of("acme", "one"));
  REQUIRE(key);
  for (int i = 0; i < 1200; ++i) {
    write_audit entry;
    entry.entry.tenant = tenant("acme");
    entry.entry.action = "session.read";
    entry.entry.target = std::to_string(i);
    REQUIRE(ask(service, entry));
  }
  const auto session = service.make_session();
  REQUIRE(service.append(session, {user_message("last")}));
  caf::anon_send(service.service().tenants(), note_key_use{tenant("acme"), key->id, system_time()});
  REQUIRE(service.service().stop(10s));
  const auto& database = service.database();
  CHECK(database.value("SELECT count(DISTINCT target) FROM audit_log WHERE action = 'session.read'") == "1200");
  CHECK(database.value("SELECT sessions = 1 AND stored_bytes > 0 FROM tenants WHERE tenant_id = 'acme'") == "t");
  CHECK(database.value("SELECT last_used_at IS NOT NULL FROM api_keys") == "t");
  // In the order in which they came.
  CHECK(database.value("SELECT string_agg(target, ',' ORDER BY at, id) = string_agg(target, ',' ORDER BY target::int)"
                       " FROM audit_log WHERE action = 'session.read'") == "t");
}
