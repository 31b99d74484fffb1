// A write that a session is putting together. Inside of session_*.cpp only.
#pragma once

#include "actors/session.hpp"

#include <memory>
#include <vector>

namespace colloquy::actors {

struct session::draft {
  std::shared_ptr<db::session_write> write;
  std::vector<event> events;
};

} // namespace colloquy::actors
