// What a replay's actors let others see while they work. Thread-safe.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::cli {

enum class replay_phase : std::uint8_t { appending, flushing, verifying };

class replay_progress {
public:
  std::atomic<replay_phase> phase{replay_phase::appending};
  std::atomic<std::uint64_t> conversations{0}; ///< of this phase, done
  std::atomic<std::uint64_t> messages{0};      ///< of this phase, done

  void begin(replay_phase next) {
    conversations = 0;
    messages = 0;
    phase = next;
  }

  /// A sentence for standard error. Only the first few are kept; the others are counted.
  void complain(std::string sentence) {
    std::scoped_lock lock(mutex_);
    if (++complaints_ <= complaints_shown_max)
      pending_.push_back(std::move(sentence));
  }
  /// Those not yet taken.
  std::vector<std::string> take_complaints() {
    std::scoped_lock lock(mutex_);
    return std::exchange(pending_, {});
  }
  std::size_t complaints_left_out() const {
    std::scoped_lock lock(mutex_);
    return complaints_ > complaints_shown_max ? complaints_ - complaints_shown_max : 0;
  }

private:
  static constexpr std::size_t complaints_shown_max = 20;

  mutable std::mutex mutex_;
  std::vector<std::string> pending_;
  std::size_t complaints_ = 0;
};

} // namespace colloquy::cli
