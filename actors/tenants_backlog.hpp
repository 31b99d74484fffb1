// What the tenants actor has taken and the database does not have yet. No actor of its own: it outlives the one that
// fills it, and is only ever used by one of them.
#pragma once

#include "db/tenant_queries.hpp"
#include "messages/ids.hpp"
#include "messages/tenant_requests.hpp"

#include <cstdint>
#include <deque>
#include <unordered_map>
#include <vector>

namespace colloquy::actors {

struct tenants_backlog {
  std::deque<audit_entry> entries; ///< oldest first
  audit_id last_entry;

  std::unordered_map<key_id, note_key_use> key_uses; ///< the latest of each key

  std::unordered_map<tenant_id, db::tenant_usage> usage; ///< counted, and not given a number yet
  std::vector<db::tenant_usage> counting;                ///< under the number `counted`, until it is in the database
  std::int64_t counted = 0;
  uuid_bytes meter = new_uuid_v7();
};

} // namespace colloquy::actors
