// Finds documents in a closed loop, from an actor of the service's own system, as a host does.
#pragma once

#include "bench/histogram.hpp"
#include "bench/sessions/sessions_service.hpp"
#include "messages/documents_interface.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>

namespace colloquy::bench {

/// A request, what it must find, and where its time is counted (nowhere: it warms up).
struct find_task {
  find_documents wanted;
  std::size_t documents = 0;
  std::int64_t total_count = 0;
  histogram* times = nullptr;
};

/// Asks for one after the other, `concurrency` at a time, until `next` gives none. Throws bench_failure if an answer is
/// an error or not what it must be.
void run_finds(sessions_service& service, std::size_t concurrency, std::function<std::optional<find_task>()> next);

/// One, whatever it gives.
document_page find_page(sessions_service& service, find_documents wanted);
/// Throws if it is refused.
void insert_one(sessions_service& service, insert_documents wanted);

} // namespace colloquy::bench
