// Where a client lives: a thread of its own, be it an actor's or an event loop's, on which all of a measurement
// happens.
#pragma once

#include "bench/load/load_client.hpp"

#include <functional>

namespace colloquy::load {

class load_place {
public:
  load_place() = default;
  load_place(const load_place&) = delete;
  load_place& operator=(const load_place&) = delete;
  virtual ~load_place() = default;

  /// To be asked from inside only.
  virtual load_client& client() = 0;
  /// Has it done inside, soon, in order. Thread-safe.
  virtual void post(std::function<void()> what) = 0;
  /// Blocks until nothing runs inside any more, nor will. Not to be called from inside.
  virtual void end() = 0;
};

} // namespace colloquy::load
