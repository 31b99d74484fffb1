// What the tenants actor writes by and by: the audit log, what tenants have, when keys were used.
#include "actors/tenants.hpp"
#include "actors/tenants_checks.hpp"
#include "db/audit_queries.hpp"
#include "db/key_queries.hpp"
#include "db/session_queries.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

const error no_room{error_code::overloaded, "the audit log cannot be written now, and no more entries can be kept",
                    1000ms};
const error late{error_code::deadline_exceeded, "the audit entry is not durable yet; it will be written", 1000ms};

/// The same again would fail again; anything else may pass, or be mended.
bool is_refused(const db::unit_outcome& outcome) {
  return outcome.failure && outcome.failure->kind == db::failure_kind::data;
}

} // namespace

void tenants::on_tick() {
  delayed_send(this, options_.audit_interval, tenants_tick{});
  const auto now = clock().now();
  write_entries();
  if (now >= usage_due_) {
    usage_due_ = now + options_.usage_interval;
    count();
  }
  if (now >= key_uses_due_ || !flushes_.empty()) {
    key_uses_due_ = now + options_.key_use_interval;
    write_uses();
  }
  go_on_flushing();
  expire_waiters(now);
}

void tenants::expire_waiters(pool_time now) {
  std::erase_if(audit_waiters_, [now](auto& each) {
    if (each.second.deadline > now)
      return false;
    reply(each.second.answer, result<audit_written>(late));
    return true;
  });
}

void tenants::note(std::string_view purpose, const db::unit_outcome& outcome) {
  if (!outcome.failure)
    failing_.erase(purpose);
  else if (failing_.insert(purpose).second)
    spdlog::warn("{} fails and is tried again: {}", purpose, db::to_error(*outcome.failure).message);
}

// --- the audit log ---------------------------------------------------------------------------------------------------

promise_of<write_audit> tenants::write(write_audit& wanted) {
  auto answer = make_response_promise<result<audit_written>>();
  auto& entry = wanted.entry;
  const bool is_full = backlog_->entries.size() >= options_.audit_entries_max;
  if (auto problem = is_full ? std::optional(no_room) : check_entry(entry)) {
    // Whoever does not wait does not hear of it. A log that is full is told of once.
    if (!wanted.wait && (!is_full || failing_.insert("audit entries").second))
      spdlog::error("what was done ({}) is missing in the audit log of tenant {}: {}", entry.action,
                    entry.tenant.text(), problem->message);
    reply(answer, result<audit_written>(*problem));
    return answer;
  }
  failing_.erase("audit entries");
  entry.id = next_audit_id();
  entry.at = options_.now();
  if (wanted.wait)
    audit_waiters_.emplace(entry.id, audit_waiter{answer, clock().now() + options_.request_timeout});
  else
    reply(answer, result<audit_written>(audit_written{}));
  backlog_->entries.push_back(std::move(entry));
  if (wanted.wait)
    write_entries();
  return answer;
}

void tenants::write_entries() {
  auto& entries = backlog_->entries;
  if (writes_entries_ || entries.empty() || clock().now() < audit_due_)
    return;
  writes_entries_ = true;
  const auto count = std::min(entries.size(), audit_at_once_);
  const std::vector<audit_entry> batch(entries.begin(), entries.begin() + static_cast<std::ptrdiff_t>(count));
  run("", db::insert_audit(batch), "write_audit",
      [this, count](const db::unit_outcome& outcome) { on_entries(count, outcome); });
}

void tenants::on_entries(std::size_t count, const db::unit_outcome& outcome) {
  writes_entries_ = false;
  if (!outcome.failure) {
    for (std::size_t i = 0; i < count; ++i)
      entry_is_done(audit_written{});
    audit_at_once_ = options_.audit_batch_max;
  } else if (is_refused(outcome) && count == 1) {
    spdlog::error("an entry of the audit log ({}) cannot be written: {}", backlog_->entries.front().action,
                  db::to_error(*outcome.failure).message);
    entry_is_done(db::to_error(*outcome.failure));
  } else if (is_refused(outcome)) {
    audit_at_once_ = count / 2; // until the one at fault is alone
  } else {
    audit_due_ = clock().now() + options_.retry_delay;
  }
  if (!is_refused(outcome))
    note("write_audit", outcome);
  if (is_refused(outcome) || !audit_waiters_.empty() || backlog_->entries.size() >= options_.audit_batch_max)
    write_entries();
  go_on_flushing();
}

/// The oldest one.
void tenants::entry_is_done(const result<audit_written>& how) {
  auto waiter = audit_waiters_.extract(backlog_->entries.front().id);
  if (waiter)
    reply(waiter.mapped().answer, how);
  backlog_->entries.pop_front();
}

// --- when keys were used ---------------------------------------------------------------------------------------------

void tenants::note_use(note_key_use& use) {
  auto& uses = backlog_->key_uses;
  const auto known = uses.find(use.id);
  if (known != uses.end())
    known->second.at = std::max(known->second.at, use.at);
  else if (uses.size() < options_.key_uses_max && !use.tenant.text().empty())
    uses.emplace(use.id, std::move(use));
}

void tenants::write_uses() {
  if (writes_uses_ || backlog_->key_uses.empty())
    return;
  writes_uses_ = true;
  std::vector<note_key_use> uses;
  for (const auto& [id, use] : backlog_->key_uses) {
    if (uses.size() >= options_.rows_per_write_max)
      break;
    uses.push_back(use);
  }
  auto query = db::note_key_uses(uses);
  run("", std::move(query), "note_key_uses",
      [this, uses = std::move(uses)](const db::unit_outcome& outcome) { on_uses(uses, outcome); });
}

void tenants::on_uses(const std::vector<note_key_use>& uses, const db::unit_outcome& outcome) {
  writes_uses_ = false;
  note("note_key_uses", outcome);
  if (outcome.failure && !is_refused(outcome))
    return go_on_flushing();
  for (const auto& each : uses) {
    const auto known = backlog_->key_uses.find(each.id);
    if (known != backlog_->key_uses.end() && known->second.at == each.at)
      backlog_->key_uses.erase(known);
  }
  if (uses.size() >= options_.rows_per_write_max)
    write_uses();
  go_on_flushing();
}

// --- what tenants have -----------------------------------------------------------------------------------------------

void tenants::count() {
  auto& backlog = *backlog_;
  for (const auto& [tenant, more] : options_.meter->take()) {
    auto& of = backlog.usage[tenant];
    of.tenant = tenant;
    of.sessions += more.sessions;
    of.bytes += more.bytes;
  }
  if (counts_ || (backlog.counting.empty() && backlog.usage.empty()))
    return;
  if (backlog.counting.empty()) {
    ++backlog.counted;
    while (!backlog.usage.empty() && backlog.counting.size() < options_.rows_per_write_max)
      backlog.counting.push_back(std::move(backlog.usage.extract(backlog.usage.begin()).mapped()));
  }
  counts_ = true;
  run("", db::count_usage(backlog.meter, backlog.counted, backlog.counting), "count_usage",
      [this](const db::unit_outcome& outcome) { on_counted(outcome); });
}

void tenants::on_counted(const db::unit_outcome& outcome) {
  counts_ = false;
  note("count_usage", outcome);
  if (is_refused(outcome))
    spdlog::error("what {} tenants have stored cannot be counted: {}", backlog_->counting.size(),
                  db::to_error(*outcome.failure).message);
  if (!outcome.failure || is_refused(outcome)) {
    backlog_->counting.clear();
    if (!backlog_->usage.empty())
      count();
  }
  go_on_flushing();
}

// --- the end ---------------------------------------------------------------------------------------------------------

promise_of<flush_tenants> tenants::flush(const flush_tenants& wanted) {
  auto answer = make_response_promise<result<tenants_flushed>>();
  flushes_.push_back({answer, wanted.deadline});
  write_entries();
  write_uses();
  count();
  go_on_flushing();
  return answer;
}

tenants_flushed tenants::what_is_left() const {
  return {backlog_->entries.size(), backlog_->usage.size() + backlog_->counting.size()};
}

void tenants::go_on_flushing() {
  if (flushes_.empty())
    return;
  const auto now = clock().now();
  const auto left = what_is_left();
  const bool is_done = left.audit_entries_left == 0 && left.tenants_uncounted == 0 && backlog_->key_uses.empty();
  std::erase_if(flushes_, [&](auto& each) {
    if (!is_done && each.deadline > now)
      return false;
    reply(each.answer, result<tenants_flushed>(left));
    return true;
  });
}

} // namespace colloquy::actors
