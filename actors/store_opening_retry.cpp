// Opening a store: what has failed goes through the converters once more.
#include "actors/store_opening.hpp"

#include "messages/store_version.hpp"

namespace colloquy::actors {

void store_opening::retry() {
  after_number_ = 0;
  opened_.failed = 0; // those that have failed just now are among them, and are counted here
  next_failed();
}

void store_opening::next_failed() {
  ask(db::failed_unit(place_, after_number_, options_.documents_per_page), "read_failed", db::decode_failed,
      [this](std::vector<db::failed_document>& page) { on_failed(std::move(page)); });
}

void store_opening::on_failed(std::vector<db::failed_document> page) {
  if (page.empty())
    return succeed();
  after_number_ = page.back().number;
  failed_ = std::move(page);
  done_ = 0;
  retry_some();
}

void store_opening::retry_some() {
  const auto until = std::chrono::steady_clock::now() + options_.slice;
  while (done_ < failed_.size() && std::chrono::steady_clock::now() < until) {
    const auto& each = failed_[done_++];
    const bool is_current = each.version && compare_versions(*each.version, wanted_.version) >= 0;
    const auto made = is_current ? converted_document(each.document)
                                 : plan_.convert(each.collection, each.version, each.document, wanted_.version,
                                                 options_.document_bytes_max);
    retried_[each.collection].push_back({each.number, made ? *made : "", made ? "" : made.failure().message});
  }
  if (done_ < failed_.size())
    return go_on_with(&store_opening::retry_some);
  write_retried();
}

/// One collection after the other.
void store_opening::write_retried() {
  if (retried_.empty())
    return next_failed();
  auto of_one = retried_.extract(retried_.begin());
  ask(db::write_retried_unit(*options_.tables, place_, of_one.key(), of_one.mapped()), "write_retried",
      db::decode_converted, [this](const db::conversions_written& written) {
        count(written);
        write_retried();
      });
}

} // namespace colloquy::actors
