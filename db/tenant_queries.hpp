// Tenants: made, read, given quotas, and what they have added up. Whatever changes something writes its entry into the
// audit log in the same unit, and may be run again after it was committed: it is answered the same.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/tenant_requests.hpp"

#include <cstdint>
#include <vector>

namespace colloquy::db {

/// As colloquy_system: nobody's row is there to be set. `entry` tells when, and who.
unit insert_tenant(const create_tenant& wanted, const audit_entry& entry);
/// conflict if there is one of that id already, made by another request; idempotency_mismatch.
result<tenant_record> decode_inserted_tenant(const create_tenant& wanted, const unit_outcome& outcome);

unit read_tenant(const tenant_id& tenant);
unit update_quotas(const set_quotas& wanted, const audit_entry& entry);
/// Of either. not_found if there is none.
result<tenant_record> decode_tenant(const unit_outcome& outcome);

/// As colloquy_system. A bad cursor is invalid_request.
result<unit> list_tenants_page(const list_tenants& wanted);
result<tenant_page> decode_tenant_page(const list_tenants& wanted, const unit_outcome& outcome);

/// More, or less, than it had.
struct tenant_usage {
  tenant_id tenant;
  std::int64_t sessions = 0;
  std::int64_t bytes = 0;
};
/// As colloquy_system. Each tenant once. `seq` rises by one with every different count of a meter, from 1; the same
/// again adds nothing.
unit count_usage(const uuid_bytes& meter, std::int64_t seq, const std::vector<tenant_usage>& more);

/// Of a unit whose success is all there is to know.
result<void> decode_done(const unit_outcome& outcome);

// Of a tenant's row, in the order of read_tenant_row.
#define COLLOQUY_TENANT_COLUMNS                                                                                        \
  "t.tenant_id, t.title, t.created_at, t.requests_per_s, t.request_burst, t.sessions_max, t.resident_sessions_max,"    \
  " t.stored_bytes_max, t.running_turns_max, t.subscriptions_max, t.message_bytes_max, t.connections_max,"             \
  " greatest(t.sessions, 0), greatest(t.stored_bytes, 0)"

/// Calls for other units of db/: a tenant's row, no row if there is none.
statement_call read_tenant_call(const tenant_id& tenant);

} // namespace colloquy::db
