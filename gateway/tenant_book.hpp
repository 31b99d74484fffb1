// What the edge knows of each tenant: its quotas and what it uses of them.
#pragma once

#include "gateway/asker.hpp"
#include "gateway/loop.hpp"
#include "gateway/service_handles.hpp"
#include "messages/tenant.hpp"

#include <chrono>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>

namespace colloquy::gateway {

/// Requests over time: each takes one of what has gathered since.
class token_bucket {
public:
  using clock = std::chrono::steady_clock;

  /// Wants the rate that is right now, as it may change. None: one was taken; else how long until there is one.
  std::optional<clock::duration> take(std::int64_t per_s, std::int64_t burst, clock::time_point now);
  std::int64_t left() const noexcept { return static_cast<std::int64_t>(tokens_); }

private:
  double tokens_ = -1; // not begun
  clock::time_point filled_{};
};

/// One tenant's. Used by the edge's thread alone.
struct tenant_state {
  tenant_record record;
  std::chrono::steady_clock::time_point fetched{};
  bool is_fetching = false;
  std::int64_t sessions_made = 0; ///< since it was fetched
  std::int64_t bytes_written = 0; ///< since it was fetched
  token_bucket requests{};
  std::size_t connections = 0;
  std::size_t streams = 0;
  std::uint64_t requests_counted = 0;
  std::map<std::string, std::uint64_t> rejected{}; ///< by reason
};
using tenant_state_ptr = std::shared_ptr<tenant_state>;

/// Bounded: tenants that nobody has a connection of are forgotten when there are many.
class tenant_book {
public:
  static constexpr std::size_t tenants_max = 20'000;

  tenant_book(asker& asks, const service_handles& to, std::chrono::milliseconds request_timeout)
    : asks_(asks)
    , to_(to)
    , request_timeout_(request_timeout) {}

  /// As known, at most some seconds old; asked for if it is not known. Errors: not_found; of the tenants actor.
  task<result<tenant_state_ptr>> find(const tenant_id& id);
  /// Was just changed here.
  void note(const tenant_record& record);

  const std::unordered_map<tenant_id, tenant_state_ptr>& all() const noexcept { return tenants_; }

private:
  task<result<tenant_state_ptr>> fetch(tenant_id id);
  task<void> refresh(tenant_state_ptr state);
  tenant_state_ptr keep(const tenant_record& record);
  void forget_some();

  asker& asks_;
  const service_handles& to_;
  std::chrono::milliseconds request_timeout_;
  std::unordered_map<tenant_id, tenant_state_ptr> tenants_;
};

} // namespace colloquy::gateway
