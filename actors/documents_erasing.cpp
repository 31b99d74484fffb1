// What the documents actor does behind a deletion: the documents of a collection that nobody finds any more are erased
// in steps.
#include "actors/documents.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {

void documents::erase(db::collection_erasure what) {
  const auto is_it = [&](const db::collection_erasure& each) {
    return each.collection == what.collection && each.tenant == what.tenant;
  };
  if (to_erase_.size() >= options_.erasures_max || std::any_of(to_erase_.begin(), to_erase_.end(), is_it))
    return; // found again
  to_erase_.push_back(std::move(what));
  if (to_erase_.size() == 1)
    erase_next();
}

/// A step of each in turn. What fails is found again.
void documents::erase_next() {
  const auto& what = to_erase_.front();
  run(what.tenant, db::erase_documents_unit(what, options_.documents_per_erasure_max), "erase_documents", false,
      [this](const db::unit_outcome& outcome) {
        auto finished = std::move(to_erase_.front());
        to_erase_.pop_front();
        const auto erased = db::decode_erased_documents(outcome, options_.documents_per_erasure_max);
        if (!erased)
          spdlog::warn("erasing a deleted collection: {}; it is tried again", erased.failure().message);
        else if (erased->bytes != 0)
          options_.meter->add(finished.tenant, {0, erased->bytes});
        if (erased && erased->is_more)
          to_erase_.push_back(std::move(finished));
        if (!to_erase_.empty())
          erase_next();
      });
}

void documents::find_erasures() {
  run_unit unit{db::find_erasures_unit(options_.erasures_max)};
  unit.purpose = "find_document_erasures";
  unit.deadline = clock().now() + options_.request_timeout;
  unit.idempotent = true;
  run(std::move(unit), 1, [this](const db::unit_outcome& outcome) {
    auto found = db::decode_erasures_found(outcome);
    if (!found)
      return;
    for (auto& each : *found)
      erase(std::move(each));
  });
}

} // namespace colloquy::actors
