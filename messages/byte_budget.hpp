// The bound on what was accepted and is not yet durable. Mailboxes have no bound of their own, so bytes are reserved
// before a message is sent, and given back when the last owner of the reservation lets go: when the events are durable.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

namespace colloquy {

/// Thread-safe; shared by every caller of a service.
class byte_budget {
public:
  explicit byte_budget(std::size_t bytes_max) noexcept
    : bytes_max_(bytes_max) {}
  byte_budget(const byte_budget&) = delete;
  byte_budget& operator=(const byte_budget&) = delete;

  std::size_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }
  std::size_t bytes_max() const noexcept { return bytes_max_; }

private:
  friend class byte_reservation;

  bool try_take(std::size_t bytes) noexcept {
    std::size_t used = used_.load(std::memory_order_relaxed);
    do {
      if (bytes > bytes_max_ - used)
        return false;
    } while (!used_.compare_exchange_weak(used, used + bytes, std::memory_order_relaxed));
    return true;
  }
  void give_back(std::size_t bytes) noexcept { used_.fetch_sub(bytes, std::memory_order_relaxed); }

  const std::size_t bytes_max_;
  std::atomic<std::size_t> used_{0};
};

/// Some bytes of a budget, given back on destruction.
class byte_reservation {
public:
  /// Null if the budget has not that much left. `other`: the same bytes of a further budget, let go with these.
  static std::shared_ptr<const byte_reservation> take(const std::shared_ptr<byte_budget>& budget, std::size_t bytes,
                                                      std::shared_ptr<const byte_reservation> other = nullptr) {
    if (!budget->try_take(bytes))
      return nullptr;
    return std::shared_ptr<const byte_reservation>(new byte_reservation(budget, bytes, std::move(other)));
  }
  byte_reservation(const byte_reservation&) = delete;
  byte_reservation& operator=(const byte_reservation&) = delete;
  ~byte_reservation() { budget_->give_back(bytes_); }

  std::size_t bytes() const noexcept { return bytes_; }
  bool is_of(const byte_budget* budget) const noexcept { return budget_.get() == budget; }

private:
  byte_reservation(std::shared_ptr<byte_budget> budget, std::size_t bytes,
                   std::shared_ptr<const byte_reservation> other) noexcept
    : budget_(std::move(budget))
    , bytes_(bytes)
    , other_(std::move(other)) {}

  std::shared_ptr<byte_budget> budget_;
  std::size_t bytes_;
  std::shared_ptr<const byte_reservation> other_;
};

} // namespace colloquy
