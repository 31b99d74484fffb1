// The audit log: written entry by entry or many at once, and read in pages.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/tenant_requests.hpp"

#include <set>
#include <span>
#include <string>

namespace colloquy::db {

/// Entries of any tenants, in one unit; one without a tenant is about the service as a whole. An entry that is there
/// already, by its id and time, is left as it is, so the unit may be run again.
unit insert_audit(std::span<const audit_entry> entries);

/// Newest first. A bad cursor is invalid_request. Without a tenant: what is about the service as a whole.
result<unit> read_audit_page(const read_audit& wanted);
result<audit_page> decode_audit_page(const read_audit& wanted, const unit_outcome& outcome);

// Parts of the statements that write their own entry: a list of parameter types, the beginning of the insertion, and
// its parameters, in this order: at, id, actor, request_id, action, target_kind, target.
#define COLLOQUY_AUDIT_TYPES oids::timestamptz, oids::uuid, oids::text, oids::text, oids::text, oids::text, oids::text
#define COLLOQUY_INSERT_AUDIT                                                                                          \
  " INSERT INTO audit_log (tenant_id, at, id, actor, request_id, action, target_kind, target)"
void add_audit_parameters(statement_call& to, const audit_entry& entry);

/// Sets these tenants for the transaction, as the service; "" is the service as a whole. At least one.
statement_call tenants_call(const std::set<std::string>& tenants);

} // namespace colloquy::db
