// What one tenant has in this process, and what it may have. Kept by the directory, shared with the tenant's sessions.
#pragma once

#include "messages/byte_budget.hpp"

#include <atomic>
#include <cstdint>
#include <limits>
#include <memory>
#include <optional>
#include <utility>

namespace colloquy::actors {

/// Thread-safe: sessions count their turns, the directory sets the bounds and counts the sessions.
struct tenant_account {
  static constexpr std::int64_t unbounded = std::numeric_limits<std::int64_t>::max();

  explicit tenant_account(std::size_t undurable_bytes_max)
    : undurable(std::make_shared<byte_budget>(undurable_bytes_max)) {}

  bool is_bounded() const noexcept { return resident_max != unbounded || running_turns_max != unbounded; }

  const std::shared_ptr<byte_budget> undurable; ///< its own part of what is accepted and not durable
  std::atomic<std::int64_t> resident{0};        ///< sessions in memory
  std::atomic<std::int64_t> resident_max{unbounded};
  std::atomic<std::int64_t> running_turns{0}; ///< also those that are just being handed over
  std::atomic<std::int64_t> running_turns_max{unbounded};
};

/// One turn of a tenant that counts as running, until this goes: however the turn ends, its session's death included.
class counted_turn {
public:
  /// Nothing if the tenant has as many as it may have.
  static std::unique_ptr<counted_turn> begin(const std::shared_ptr<tenant_account>& account) {
    auto running = account->running_turns.load(std::memory_order_relaxed);
    do {
      if (running >= account->running_turns_max.load(std::memory_order_relaxed))
        return nullptr;
    } while (!account->running_turns.compare_exchange_weak(running, running + 1, std::memory_order_relaxed));
    return std::unique_ptr<counted_turn>(new counted_turn(account));
  }
  /// One that runs already, whatever the bound is: as when its session wakes with it.
  static std::unique_ptr<counted_turn> adopt(const std::shared_ptr<tenant_account>& account) {
    account->running_turns.fetch_add(1, std::memory_order_relaxed);
    return std::unique_ptr<counted_turn>(new counted_turn(account));
  }
  counted_turn(const counted_turn&) = delete;
  counted_turn& operator=(const counted_turn&) = delete;
  ~counted_turn() { account_->running_turns.fetch_sub(1, std::memory_order_relaxed); }

private:
  explicit counted_turn(std::shared_ptr<tenant_account> account) noexcept
    : account_(std::move(account)) {}

  std::shared_ptr<tenant_account> account_;
};

} // namespace colloquy::actors
