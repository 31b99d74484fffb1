// Tenants and keys by the units of the product, on a database of its own.
#pragma once

#include "db/audit_queries.hpp"
#include "db/key_queries.hpp"
#include "db/tenant_queries.hpp"
#include "tests/db/session_store.hpp"

#include <string>
#include <utility>

namespace colloquy::test {

inline tenant_id tenant_named(const std::string& name) {
  return tenant_id::parse(name).value();
}

inline const timestamp some_day{std::chrono::sys_days{std::chrono::year{2026} / 3 / 1}};

inline audit_entry entry_of(const std::string& tenant, const std::string& action = "test", timestamp at = some_day,
                            const std::string& target = "t") {
  audit_entry entry;
  entry.id = audit_id::make();
  if (!tenant.empty())
    entry.tenant = tenant_named(tenant);
  entry.at = at;
  entry.by = {"admin", "r1"};
  entry.action = action;
  entry.target_kind = "session";
  entry.target = target;
  return entry;
}

inline create_tenant tenant_to_be(const std::string& name) {
  create_tenant wanted;
  wanted.id = tenant_named(name);
  return wanted;
}

inline create_key key_to_be(const std::string& tenant, const std::string& prefix) {
  create_key wanted;
  wanted.tenant = tenant_named(tenant);
  wanted.scopes.read = true;
  wanted.digest = {prefix, std::string(31, '\x01') + prefix.back()};
  return wanted;
}

class tenant_store : public session_store {
public:
  using session_store::session_store;

  result<tenant_record> make_tenant(const create_tenant& wanted) {
    return db::decode_inserted_tenant(wanted,
                                      run(db::insert_tenant(wanted, entry_of(wanted.id.text(), "tenant.create"))));
  }
  result<tenant_record> read_tenant(const std::string& name) {
    return db::decode_tenant(run(db::read_tenant(tenant_named(name))));
  }
  result<api_key_record> make_key(const create_key& wanted, timestamp at = some_day) {
    return db::decode_inserted_key(
        wanted, run(db::insert_key(wanted, key_id::make(), entry_of(wanted.tenant.text(), "key.create", at))));
  }
  found_key find(const std::string& prefix) { return db::decode_found_key(run(db::find_api_key(prefix))).value(); }
  result<audit_page> read(const read_audit& wanted) {
    auto query = db::read_audit_page(wanted);
    if (!query)
      return query.failure();
    return db::decode_audit_page(wanted, run(*query));
  }
  /// "session.create key.revoke ...", newest first.
  std::string actions(const std::string& tenant) {
    read_audit wanted;
    if (!tenant.empty())
      wanted.tenant = tenant_named(tenant);
    std::string out;
    const auto page = read(wanted);
    REQUIRE(page);
    for (const auto& each : page->entries)
      out += each.action + " ";
    return out;
  }
};

} // namespace colloquy::test
