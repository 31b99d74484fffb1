// API keys, and the key of the service as a whole. Whatever changes something writes its entry into the audit log in
// the same unit, and may be run again after it was committed: it is answered the same.
#pragma once

#include "db/statement.hpp"
#include "messages/error.hpp"
#include "messages/tenant_requests.hpp"

#include <string>
#include <vector>

namespace colloquy::db {

/// `id` is the new key's; `entry` tells when, and who.
unit insert_key(const create_key& wanted, key_id id, const audit_entry& entry);
/// not_found (the tenant), conflict (the prefix is taken).
result<api_key_record> decode_inserted_key(const create_key& wanted, const unit_outcome& outcome);

/// `id` is the new key's.
unit insert_next_key(const rotate_key& wanted, key_id id, const audit_entry& entry);
/// not_found (also: it is not valid any more), conflict (the prefix is taken).
result<api_key_record> decode_next_key(const rotate_key& wanted, const unit_outcome& outcome);

unit revoke_key(const colloquy::revoke_key& wanted, const audit_entry& entry);
/// not_found.
result<api_key_record> decode_revoked_key(const colloquy::revoke_key& wanted, const unit_outcome& outcome);

/// Newest first. A bad cursor is invalid_request.
result<unit> list_keys_page(const list_keys& wanted);
result<key_page> decode_key_page(const list_keys& wanted, const unit_outcome& outcome);

/// As colloquy_system: whose it is is what is asked.
unit find_api_key(const std::string& prefix);
result<found_key> decode_found_key(const unit_outcome& outcome);

/// When keys were last used; each key once.
unit note_key_uses(const std::vector<note_key_use>& uses);

/// As colloquy_system. An empty `sha256` only looks.
unit keep_admin_key(const std::string& sha256);
result<service_keys> decode_service_keys(const std::string& sha256, const unit_outcome& outcome);

// Of a key's row, without its digest.
#define COLLOQUY_KEY_COLUMNS                                                                                           \
  "k.id, k.prefix, k.name, k.can_read, k.can_write, k.can_admin, k.user_id, k.created_at, k.expires_at,"               \
  " k.last_used_at, k.revoked_at"

} // namespace colloquy::db
