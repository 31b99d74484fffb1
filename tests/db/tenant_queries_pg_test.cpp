// Tenants, keys and the audit log against a real server.
#include "tests/db/tenant_store.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

TEST_CASE("a tenant is made with its quotas, once, and its entry in the audit log with it") {
  tenant_store store;
  auto wanted = tenant_to_be("acme");
  wanted.title = "Größe & Co";
  wanted.quotas.requests_per_s = 5;
  wanted.quotas.connections_max = 7;
  const auto made = store.make_tenant(wanted);
  REQUIRE(made);
  CHECK(made->id == wanted.id);
  CHECK(made->title == wanted.title);
  CHECK(made->quotas == wanted.quotas);
  CHECK(made->created_at == some_day);
  CHECK(made->sessions == 0);
  CHECK(store.read_tenant("acme")->quotas == wanted.quotas);
  const auto again = store.make_tenant(wanted);
  REQUIRE_FALSE(again);
  CHECK(again.failure().code == error_code::conflict);
  CHECK(store.actions("acme") == "tenant.create ");
  CHECK(store.read_tenant("nobody").failure().code == error_code::not_found);
}

TEST_CASE("a creation that runs again because its answer was lost is answered as the first time") {
  tenant_store store;
  const auto wanted = tenant_to_be("acme");
  const auto work = insert_tenant(wanted, entry_of("acme"));
  const auto key = key_to_be("acme", "p");
  const auto key_work = insert_key(key, key_id::make(), entry_of("acme"));
  for (int i = 0; i < 2; ++i) {
    CHECK(decode_inserted_tenant(wanted, store.run(work)));
    CHECK(decode_inserted_key(key, store.run(key_work)));
  }
  rotate_key rotation;
  rotation.tenant = key.tenant;
  rotation.id = store.find("p").key->key.id;
  rotation.digest = key_to_be("acme", "q").digest;
  const auto rotation_work = insert_next_key(rotation, key_id::make(), entry_of("acme"));
  for (int i = 0; i < 2; ++i)
    CHECK(decode_next_key(rotation, store.run(rotation_work)));
  CHECK(store.count("api_keys") == "2");
  CHECK(store.count("audit_log") == "3");
}

TEST_CASE("a repeated creation is known by its key and its digest") {
  tenant_store store;
  auto wanted = tenant_to_be("acme");
  wanted.repeat = idempotency{"k", "print", "path"};
  REQUIRE(store.make_tenant(wanted));
  CHECK(store.make_tenant(wanted)->id == wanted.id);
  auto other = tenant_to_be("globex");
  other.repeat = idempotency{"k", "other print", "path"};
  CHECK(store.make_tenant(other).failure().code == error_code::idempotency_mismatch);
  CHECK(store.count("tenants", "tenant_id = 'globex'") == "0");
  other.repeat->scope = "elsewhere";
  CHECK(store.make_tenant(other));
  auto without = tenant_to_be("acme");
  CHECK(store.make_tenant(without).failure().code == error_code::conflict);
  CHECK(store.count("audit_log") == "2");
}

TEST_CASE("quotas are set all at once: what is not said is unbounded") {
  tenant_store store;
  auto made = tenant_to_be("acme");
  made.quotas.sessions_max = 5;
  REQUIRE(store.make_tenant(made));
  set_quotas wanted;
  wanted.id = made.id;
  const auto run = [&] {
    return decode_tenant(store.run(update_quotas(wanted, entry_of(wanted.id.text(), "tenant.set_quotas"))));
  };
  CHECK(run()->quotas == tenant_quotas{});
  wanted.quotas = {1, 2, 3, 4, 5, 6, 7, 8, 9};
  CHECK(run()->quotas == wanted.quotas);
  CHECK(store.read_tenant("acme")->quotas == wanted.quotas);
  wanted.id = tenant_named("nobody");
  CHECK(run().failure().code == error_code::not_found);
  CHECK(store.actions("nobody") == "");
  CHECK(store.count("audit_log") == "3");
}

TEST_CASE("tenants are listed by id, page by page") {
  tenant_store store;
  for (const auto* name : {"b", "a", "d", "c"})
    REQUIRE(store.make_tenant(tenant_to_be(name)));
  list_tenants wanted;
  wanted.limit = 2;
  std::string seen;
  for (int i = 0; i < 10; ++i) {
    const auto page = decode_tenant_page(wanted, store.run(*list_tenants_page(wanted)));
    REQUIRE(page);
    for (const auto& each : page->tenants)
      seen += each.id.text() + " ";
    wanted.cursor = page->next_cursor;
    if (wanted.cursor.empty())
      break;
  }
  CHECK(seen == "a b c d default ");
  wanted.cursor = "No Such";
  CHECK(list_tenants_page(wanted).failure().code == error_code::invalid_request);
}

TEST_CASE("a key is found by its prefix with its digest, and the tenant's list has no digest") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  auto wanted = key_to_be("acme", "cq_1");
  wanted.name = "laptop";
  wanted.scopes = {true, false, true};
  wanted.user_id = "ada";
  wanted.expires_in = 10s;
  const auto made = store.make_key(wanted);
  REQUIRE(made);
  CHECK(made->expires_at == some_day + 10s);
  const auto found = store.find("cq_1");
  REQUIRE(found.key);
  CHECK(found.key->sha256 == wanted.digest.sha256);
  for (const auto& key : {*made, found.key->key}) {
    CHECK(key.id == made->id);
    CHECK(key.tenant == wanted.tenant);
    CHECK(key.prefix == "cq_1");
    CHECK(key.name == "laptop");
    CHECK(key.scopes == wanted.scopes);
    CHECK(key.user_id == "ada");
    CHECK(key.created_at == some_day);
    CHECK(key.is_valid(some_day + 9s));
    CHECK_FALSE(key.is_valid(some_day + 10s));
    CHECK_FALSE(key.last_used_at);
  }
  CHECK_FALSE(store.find("cq_").key);
  auto plain = key_to_be("acme", "cq_2");
  const auto never = store.make_key(plain);
  REQUIRE(never);
  CHECK_FALSE(never->expires_at);
  CHECK_FALSE(never->user_id);
}

TEST_CASE("a prefix is taken among all tenants, and a key needs a tenant") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  REQUIRE(store.make_tenant(tenant_to_be("globex")));
  REQUIRE(store.make_key(key_to_be("acme", "p")));
  CHECK(store.make_key(key_to_be("acme", "p")).failure().code == error_code::conflict);
  CHECK(store.make_key(key_to_be("globex", "p")).failure().code == error_code::conflict);
  CHECK(store.make_key(key_to_be("nobody", "q")).failure().code == error_code::not_found);
  CHECK(store.count("audit_log", "action = 'key.create'") == "1");
}

TEST_CASE("a key that is rotated lives for its grace, and the next one may do the same for as long") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  auto wanted = key_to_be("acme", "old");
  wanted.scopes = {true, true, false};
  wanted.user_id = "ada";
  wanted.expires_in = 100s;
  const auto old = store.make_key(wanted);
  REQUIRE(old);
  const auto rotate = [&](const std::string& prefix, std::chrono::seconds after, std::chrono::seconds grace,
                          const std::string& tenant = "acme") {
    rotate_key rotation;
    rotation.tenant = tenant_named(tenant);
    rotation.id = old->id;
    rotation.grace = grace;
    rotation.digest = key_to_be(tenant, prefix).digest;
    return decode_next_key(rotation, store.run(insert_next_key(rotation, key_id::make(),
                                                               entry_of(tenant, "key.rotate", some_day + after))));
  };
  CHECK(rotate("x", 10s, 5s, "globex").failure().code == error_code::not_found);
  CHECK(rotate("old", 10s, 5s).failure().code == error_code::conflict);
  CHECK(store.find("old").key->key.expires_at == some_day + 100s); // nothing of it was done
  const auto next = rotate("new", 10s, 5s);
  REQUIRE(next);
  CHECK(next->scopes == wanted.scopes);
  CHECK(next->user_id == "ada");
  CHECK(next->expires_at == some_day + 110s);
  CHECK(store.find("new").key->sha256 == key_to_be("acme", "new").digest.sha256);
  CHECK(store.find("old").key->key.expires_at == some_day + 15s);
  CHECK(rotate("again", 12s, 60s)->expires_at == some_day + 112s);
  CHECK(store.find("old").key->key.expires_at == some_day + 15s); // never later than its own end
  CHECK(rotate("late", 15s, 60s).failure().code == error_code::not_found);
  CHECK(store.count("audit_log", "action = 'key.rotate'") == "2");
}

TEST_CASE("a revoked key stays in the list, is revoked once, and cannot be rotated") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  const auto key = store.make_key(key_to_be("acme", "p"));
  REQUIRE(key);
  colloquy::revoke_key wanted{key->tenant, key->id, {}};
  const auto revoke = [&](std::chrono::seconds after) {
    return decode_revoked_key(wanted, store.run(db::revoke_key(wanted, entry_of("acme", "key.revoke", some_day + after))));
  };
  CHECK(revoke(1s)->revoked_at == some_day + 1s);
  CHECK(revoke(2s)->revoked_at == some_day + 1s);
  CHECK_FALSE(store.find("p").key->key.is_valid(some_day + 1s));
  CHECK(store.count("audit_log", "action = 'key.revoke'") == "1");
  rotate_key rotation;
  rotation.tenant = key->tenant;
  rotation.id = key->id;
  rotation.digest = key_to_be("acme", "q").digest;
  CHECK(decode_next_key(rotation, store.run(insert_next_key(rotation, key_id::make(), entry_of("acme"))))
            .failure()
            .code == error_code::not_found);
  wanted.id = key_id::make();
  CHECK(revoke(1s).failure().code == error_code::not_found);
}

TEST_CASE("keys are listed newest first, page by page, and the time of their use is the latest told") {
  tenant_store store;
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  REQUIRE(store.make_tenant(tenant_to_be("globex")));
  REQUIRE(store.make_key(key_to_be("globex", "x")));
  for (int i = 0; i < 5; ++i)
    REQUIRE(store.make_key(key_to_be("acme", "p" + std::to_string(i)), some_day + std::chrono::seconds{i / 2}));
  const auto used = store.find("p3").key->key.id;
  for (const auto after : {7s, 3s})
    REQUIRE(decode_done(store.run(note_key_uses(
        {{tenant_named("acme"), used, some_day + after}, {tenant_named("globex"), key_id::make(), some_day}}))));
  CHECK(store.find("p3").key->key.last_used_at == some_day + 7s);
  list_keys wanted;
  wanted.tenant = tenant_named("acme");
  wanted.limit = 2;
  std::vector<std::string> seen;
  do {
    const auto page = decode_key_page(wanted, store.run(*list_keys_page(wanted)));
    REQUIRE(page);
    for (const auto& each : page->keys)
      seen.push_back(each.prefix);
    wanted.cursor = page->next_cursor;
  } while (!wanted.cursor.empty() && seen.size() < 10);
  CHECK(seen == std::vector<std::string>{"p4", "p3", "p2", "p1", "p0"});
  for (const auto* bad : {"x", "00000000000000000000", "ffffffffffffffff00000000-0000-0000-0000-000000000000"}) {
    wanted.cursor = bad;
    CHECK(list_keys_page(wanted).failure().code == error_code::invalid_request);
  }
}

TEST_CASE("the admin key is kept once, and it is told whether tenants ever had keys") {
  tenant_store store;
  const auto keep = [&](const std::string& sha256) {
    return decode_service_keys(sha256, store.run(keep_admin_key(sha256))).value();
  };
  auto keys = keep("");
  CHECK(keys.admin_sha256 == "");
  CHECK_FALSE(keys.has_tenant_keys);
  CHECK_FALSE(keys.kept);
  const std::string first("\0first0123456789012345678901234", 32), second(32, 'x');
  keys = keep(first);
  CHECK(keys.kept);
  CHECK(keys.admin_sha256 == first);
  CHECK(keep(first).kept);
  keys = keep(second);
  CHECK_FALSE(keys.kept);
  CHECK(keys.admin_sha256 == first);
  REQUIRE(store.make_tenant(tenant_to_be("acme")));
  REQUIRE(store.make_key(key_to_be("acme", "p")));
  CHECK(keep("").has_tenant_keys);
}

TEST_CASE("audit entries of several tenants are written at once, and again without harm, and each reads its own") {
  tenant_store store;
  const std::vector<audit_entry> entries{entry_of("acme", "one"), entry_of("globex", "two"), entry_of("", "three")};
  for (int i = 0; i < 2; ++i)
    REQUIRE(decode_done(store.run(insert_audit(entries))));
  CHECK(store.count("audit_log") == "3");
  CHECK(store.actions("acme") == "one ");
  CHECK(store.actions("globex") == "two ");
  CHECK(store.actions("") == "three "); // of the service as a whole
  const auto only_own = std::vector{entries[0]};
  REQUIRE(decode_done(store.run(insert_audit(only_own))));
  read_audit wanted;
  wanted.tenant = tenant_named("acme");
  const auto page = store.read(wanted);
  REQUIRE(page);
  const auto& entry = page->entries.at(0);
  CHECK(entry.id == entries[0].id);
  CHECK(entry.tenant == wanted.tenant);
  CHECK(entry.at == some_day);
  CHECK(entry.by.name == "admin");
  CHECK(entry.by.request_id == "r1");
  CHECK(entry.target_kind == "session");
  CHECK(entry.target == "t");
}

TEST_CASE("the audit log is read newest first, filtered, then cut, from one time to before another") {
  tenant_store store;
  std::vector<audit_entry> entries;
  for (int i = 0; i < 12; ++i) {
    entries.push_back(
        entry_of("acme", i % 2 == 0 ? "even" : "odd", some_day + std::chrono::seconds{i / 4}, std::to_string(i % 3)));
    entries.back().by.name = i < 6 ? "admin" : "key:p";
  }
  REQUIRE(decode_done(store.run(insert_audit(entries))));
  const auto read_all = [&](read_audit wanted) {
    wanted.tenant = tenant_named("acme");
    wanted.limit = 2;
    std::vector<audit_id> seen;
    do {
      const auto page = store.read(wanted);
      REQUIRE(page);
      for (const auto& each : page->entries)
        seen.push_back(each.id);
      wanted.cursor = page->next_cursor;
    } while (!wanted.cursor.empty() && seen.size() < 100);
    return seen;
  };
  for (int filters = 0; filters < 16; ++filters) {
    read_audit wanted;
    if ((filters & 1) != 0)
      wanted.actor = "admin";
    if ((filters & 2) != 0)
      wanted.action = "odd";
    if ((filters & 4) != 0)
      wanted.target = "1";
    if ((filters & 8) != 0) {
      wanted.from = some_day + 1s;
      wanted.to = some_day + 2s;
    }
    std::vector<audit_id> expected;
    for (auto each = entries.rbegin(); each != entries.rend(); ++each)
      if (each->by.name == wanted.actor.value_or(each->by.name) &&
          each->action == wanted.action.value_or(each->action) &&
          each->target == wanted.target.value_or(each->target) && each->at >= wanted.from.value_or(each->at) &&
          each->at < wanted.to.value_or(timestamp::max()))
        expected.push_back(each->id);
    CHECK(read_all(wanted) == expected);
  }
  read_audit wide;
  wide.from = timestamp::min();
  wide.to = timestamp::max();
  CHECK(read_all(wide).size() == 12);
}
