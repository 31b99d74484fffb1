// A workload: what one operation is. It is performed on one thread, as the clients are asked.
#pragma once

#include "bench/load/load_client.hpp"

#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::load {

/// Called once when an operation is over: with nothing or with what it failed of, and its kind (0 if all are one).
using finished = std::function<void(const error* failure, std::size_t part)>;
/// The same for a preparation or a check.
using prepared = std::function<void(std::optional<error> failure)>;

class load_workload {
public:
  load_workload() = default;
  load_workload(const load_workload&) = delete;
  load_workload& operator=(const load_workload&) = delete;
  virtual ~load_workload() = default;

  /// Kinds of operations that are told apart; none if they are all one.
  virtual std::vector<std::string> parts() const { return {}; }

  /// Before anything is measured: makes what the operations need.
  virtual void prepare(prepared then) { then(std::nullopt); }

  /// Begins the next operation, which may be over before this returns.
  virtual void perform(finished then) = 0;

  /// Whether there is nothing more to do, for now or for good: operations that ended may change that.
  virtual bool is_exhausted() const { return false; }

  /// Behind the measurement, nothing is under way: reads back what was written and compares; gives how many events.
  virtual void verify(std::function<void(result<std::size_t>)> then) { then(std::size_t{0}); }
};

} // namespace colloquy::load
