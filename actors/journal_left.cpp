// The journal: what the last process left, what is to be erased, and how it all is.
#include "actors/journal.hpp"

#include "db/journal_codec.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <memory>
#include <utility>

namespace colloquy::actors {
namespace {

constexpr std::size_t page_bytes_max = std::size_t{64} << 20;

} // namespace

// --- erasing ---------------------------------------------------------------------------------------------------------

promise_of<journal_erase> journal::take(const journal_erase& request) {
  auto answer = make_response_promise<result<journal_erased>>();
  drop_from_group([&](const pending_write& each) { return each.write->session == request.session; });
  if (const auto found = sessions_.find(request.session); found != sessions_.end()) {
    waiting_ -= found->second.waiting.size();
    sessions_.erase(found);
  }
  erasures_.push_back({request.session, answer});
  erase_at_ = clock().now();
  commit_soon();
  return answer;
}

/// All together: the file is written anew once.
void journal::carry_out_erasures() {
  if (erasures_.empty() || clock().now() < erase_at_)
    return;
  std::vector<session_key> sessions;
  for (const auto& each : erasures_)
    sessions.push_back(each.session);
  auto outcome = file_->erase(sessions);
  for (std::size_t i = 0; i < erasures_.size(); ++i) {
    auto& each = erasures_[i];
    if (std::exchange(each.is_answered, true))
      continue;
    each.answer.deliver(outcome
                            ? result<journal_erased>(journal_erased{(*outcome)[i].records, (*outcome)[i].quarantined})
                            : result<journal_erased>(outcome.failure()));
  }
  if (outcome)
    return erasures_.clear();
  note_failure(outcome.failure());
  spdlog::error("an erasure is not finished: {}", last_error_);
  erase_at_ = clock().now() + options_.retry_delay;
  schedule_tick(options_.retry_delay);
}

// --- what the last process left --------------------------------------------------------------------------------------

std::optional<event_offset> first_offset(const db::session_write& write) {
  return write.events && !write.events->empty() ? std::optional(write.events->front().offset) : std::nullopt;
}

result<journal_record> journal::decode(db::journal_row row) const {
  auto write = db::decode_write(row.payload);
  if (!write)
    return write.failure();
  if (write->session != row.session || write->number != row.number || first_offset(*write) != row.first_offset)
    return error{error_code::invalid_request, "a record that is not what its columns say"};
  return journal_record{row.place, row.origin, row.written_at,
                        std::make_shared<const db::session_write>(std::move(*write))};
}

result<journal_page> journal::take(const read_journal& request) {
  auto rows = file_->read_left(request.after, std::min(request.bytes_max, page_bytes_max));
  if (!rows)
    return rows.failure();
  journal_page page{{}, rows->next};
  for (auto& row : rows->rows) {
    const auto place = row.place;
    if (auto record = decode(std::move(row))) {
      page.records.push_back(std::move(*record));
    } else if (auto moved = file_->quarantine({&place, 1}, record.failure().message); !moved) {
      note_failure(moved.failure());
      return moved.failure();
    }
  }
  return page;
}

std::vector<db::journal_place> journal::those_left(const std::vector<db::journal_place>& places) const {
  std::vector<db::journal_place> left;
  for (const auto& each : places)
    if (file_->is_left(each))
      left.push_back(each);
  std::sort(left.begin(), left.end());
  left.erase(std::unique(left.begin(), left.end()), left.end());
  return left;
}

result<journal_forgotten> journal::take(const journal_forget& request) {
  const auto places = those_left(request.records);
  if (auto outcome = file_->commit({}, places); !outcome) {
    note_failure(outcome.failure());
    return outcome.failure();
  }
  return journal_forgotten{places.size()};
}

result<quarantined> journal::take(const quarantine& request) {
  auto moved = file_->quarantine(those_left(request.records), request.reason);
  if (!moved) {
    note_failure(moved.failure());
    return moved.failure();
  }
  return quarantined{*moved};
}

result<journal_status> journal::status() const {
  const auto figures = file_->figures();
  journal_status out;
  out.records = figures.records;
  out.bytes = figures.bytes + group_bytes_;
  out.bytes_max = options_.bytes_max;
  out.waiting = waiting_;
  out.oldest = figures.oldest;
  out.quarantined = figures.quarantined;
  out.erasures_waiting = erasures_.size();
  out.problem = failing_ ? failing_->message : "";
  out.last_error = last_error_;
  out.last_error_at = last_error_at_;
  return out;
}

} // namespace colloquy::actors
