#include "messages/log_requests.hpp"

#include <algorithm>

namespace colloquy {

bool read_events::wants(const event& entry) const noexcept {
  return (kinds.empty() || std::find(kinds.begin(), kinds.end(), entry.kind) != kinds.end()) &&
         (!source || *source == entry.source) && (!trace_id || *trace_id == entry.trace_id);
}

} // namespace colloquy
