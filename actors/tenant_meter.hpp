// What tenants have stored since it was last asked: counted by the writer as batches commit, fetched by the tenants
// actor, which adds it to the tenant's row.
#pragma once

#include "messages/ids.hpp"

#include <cstdint>
#include <mutex>
#include <unordered_map>
#include <utility>

namespace colloquy::actors {

struct stored_since {
  std::int64_t sessions = 0;
  std::int64_t bytes = 0; ///< of events' data
};

/// Thread-safe.
class tenant_meter {
public:
  using counts = std::unordered_map<tenant_id, stored_since>;

  void add(const tenant_id& tenant, const stored_since& more) {
    const std::lock_guard guard(mutex_);
    auto& of_tenant = counts_[tenant];
    of_tenant.sessions += more.sessions;
    of_tenant.bytes += more.bytes;
  }

  /// Since the last call.
  counts take() {
    const std::lock_guard guard(mutex_);
    return std::exchange(counts_, {});
  }

private:
  std::mutex mutex_;
  counts counts_;
};

} // namespace colloquy::actors
