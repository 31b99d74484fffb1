#include "actors/journal.hpp"

#include "db/journal_codec.hpp"

#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

// Removals at once, on a disk that is full.
constexpr std::size_t portion = 8;

} // namespace

journal::journal(caf::actor_config& config, db::journal_file file, journal_options options)
  : journal_internal::base(config)
  , file_(std::move(file))
  , options_(std::move(options))
  , origin_(options_.origin) {}

journal::behavior_type journal::make_behavior() {
  // What was sent before it was told to end is still to be taken.
  set_exit_handler([this](caf::exit_msg& told) { send(this, journal_end{std::move(told.reason)}); });
  return {
      [this](const journal_write& request) { take(request); },
      [this](const journal_durable& news) { take(news); },
      [this](const journal_process& process) {
        origin_ = process.origin;
        if (auto noted = file_->note_user(origin_.process); !noted)
          note_failure(noted.failure());
      },
      [this](get_journal_users) -> result<journal_users> {
        auto users = file_->users();
        if (!users)
          return users.failure();
        return journal_users{std::move(users).value()};
      },
      [this](const journal_erase& request) { return take(request); },
      [this](const read_journal& request) { return take(request); },
      [this](const journal_forget& request) { return take(request); },
      [this](const quarantine& request) { return take(request); },
      [this](get_journal_status) { return status(); },
      [this](flush_journal) {
        commit();
        return result<journal_flushed>(journal_flushed{});
      },
      [this](journal_commit) { commit(); },
      [this](journal_tick) { on_tick(); },
      [this](journal_end& told) {
        commit();
        quit(std::move(told.why));
      },
  };
}

void journal::on_exit() {
  for (auto& each : erasures_)
    if (!each.is_answered)
      each.answer.deliver(result<journal_erased>(error{error_code::internal, "the journal has ended"}));
  erasures_.clear();
  sessions_.clear();
  group_.clear();
  file_.reset(); // others may hold this actor for longer
}

// --- writing ---------------------------------------------------------------------------------------------------------

/// A session that was woken again counts from 1 again: what the actor before it wrote stays on disk until the journal
/// is opened anew, when it can be told whether that is durable.
journal::session_state& journal::state_of(const journal_write& request) {
  auto& state = sessions_[request.write->session];
  if (state.actor == request.listener.id())
    return state;
  if (state.pending > 0)
    commit(); // whatever it changes, the entry may be gone after it
  auto& fresh = sessions_[request.write->session];
  waiting_ -= fresh.waiting.size();
  fresh = session_state{};
  fresh.actor = request.listener.id();
  return fresh;
}

void journal::forget_if_empty(const session_key& session) {
  if (const auto found = sessions_.find(session); found != sessions_.end() && found->second.is_empty())
    sessions_.erase(found);
}

void journal::take(const journal_write& request) {
  auto& state = state_of(request);
  auto listener = caf::actor_cast<caf::actor_addr>(request.listener);
  if (!is_barred() && state.waiting.empty() && has_room_for(*request.write)) {
    add_to_group(state, request.write, std::move(listener));
    return is_group_full() ? commit() : commit_soon();
  }
  const auto why = failing_ ? *failing_
                            : error{error_code::overloaded,
                                    "the journal holds " + std::to_string(options_.bytes_max) +
                                        " bytes that are not durable, which is all it may (journal_bytes_max)",
                                    options_.retry_delay};
  state.waiting.push_back({request.write, listener});
  ++waiting_;
  queue(state, request.write->session);
  tell(listener, session_call{journal_refused{request.write->number, why}});
  if (!is_barred() && !removals_.empty())
    commit_soon(); // that makes room
  schedule_tick(options_.retry_delay);
}

void journal::queue(session_state& state, const session_key& session) {
  if (!std::exchange(state.is_queued, true))
    waiting_sessions_.push_back(session);
}

void journal::add_to_group(session_state& state, db::session_write_ptr write, caf::actor_addr listener) {
  ++state.pending;
  entries_.push_back({origin_, write->session, write->number, first_offset(*write), db::encode_write(*write)});
  group_bytes_ += db::journal_cost(entries_.back().payload.size());
  group_.push_back({std::move(write), std::move(listener)});
}

/// By what the session says that it costs, which is more than its encoding.
bool journal::has_room_for(const db::session_write& write) const {
  return write.bytes <= db::journal_payload_max / 2 &&
         file_->figures().bytes + group_bytes_ + db::journal_cost(write.bytes) <= options_.bytes_max;
}

bool journal::is_group_full() const {
  return group_.size() >= options_.group_records_max || group_bytes_ >= options_.group_bytes_max;
}

/// Whether the disk failed a moment ago, so that it is not asked again yet.
bool journal::is_barred() const {
  return failing_ && clock().now() < retry_at_;
}

void journal::commit_soon() {
  if (!std::exchange(commit_is_due_, true))
    send(this, journal_commit{});
}

void journal::commit() {
  commit_is_due_ = false;
  if (!is_barred()) {
    write_group(true);
    write_waiting();
  }
  carry_out_erasures();
  if (!removals_.empty() || waiting_ > 0 || failing_)
    schedule_tick(options_.retry_delay);
}

void journal::write_group(bool is_first_try) {
  drop_from_group([this](const pending_write& each) {
    return each.write->number <= sessions_[each.write->session].durable_through;
  });
  if (group_.empty() && removals_.empty() && !failing_) // else it is found out whether the disk is well again
    return;
  auto outcome = file_->commit(entries_, removals_);
  if (!outcome)
    return on_group_failed(outcome.failure(), is_first_try);
  on_disk_well();
  removals_.clear();
  on_group_written(*outcome);
}

void journal::drop_from_group(const std::function<bool(const pending_write&)>& which) {
  std::size_t kept = 0;
  for (std::size_t i = 0; i < group_.size(); ++i) {
    if (which(group_[i])) {
      group_bytes_ -= db::journal_cost(entries_[i].payload.size());
      --sessions_[group_[i].write->session].pending;
      forget_if_empty(group_[i].write->session);
      continue;
    }
    if (kept != i) {
      group_[kept] = std::move(group_[i]);
      entries_[kept] = std::move(entries_[i]);
    }
    ++kept;
  }
  group_.resize(kept);
  entries_.resize(kept);
}

void journal::on_group_written(const std::vector<db::journal_place>& places) {
  std::unordered_map<session_key, const pending_write*> last;
  for (std::size_t i = 0; i < group_.size(); ++i) {
    const auto& each = group_[i];
    auto& state = sessions_[each.write->session];
    --state.pending;
    state.on_disk.push_back({each.write->number, places[i]});
    last[each.write->session] = &each;
  }
  for (const auto& [session, each] : last)
    tell(each->listener, session_call{journaled{each->write->number}});
  group_.clear();
  entries_.clear();
  group_bytes_ = 0;
}

/// Back to those that wait, before what came later. Who has been told once is not told again.
void journal::on_group_failed(const error& why, bool is_first_try) {
  on_disk_failed(why);
  std::unordered_map<session_key, pending_write> first;
  for (auto at = group_.rbegin(); at != group_.rend(); ++at) {
    auto& state = sessions_[at->write->session];
    --state.pending;
    state.waiting.push_front({at->write, at->listener});
    ++waiting_;
    queue(state, at->write->session);
    first[at->write->session] = *at;
  }
  group_.clear();
  entries_.clear();
  group_bytes_ = 0;
  if (is_first_try)
    for (const auto& [session, each] : first)
      tell(each.listener, session_call{journal_refused{each.write->number, why}});
}

void journal::take(const journal_durable& news) {
  const auto found = sessions_.find(news.session);
  if (found == sessions_.end())
    return;
  auto& state = found->second;
  state.durable_through = std::max(state.durable_through, news.through_number);
  for (; !state.on_disk.empty() && state.on_disk.front().number <= news.through_number; state.on_disk.pop_front())
    removals_.push_back(state.on_disk.front().place);
  for (; !state.waiting.empty() && state.waiting.front().write->number <= news.through_number; --waiting_)
    state.waiting.pop_front();
  forget_if_empty(news.session);
  if (removals_.size() >= options_.group_records_max || (waiting_ > 0 && !is_barred()))
    commit_soon();
  else if (!removals_.empty())
    schedule_tick(options_.removal_delay);
}

// --- what could not be written ---------------------------------------------------------------------------------------

/// Round after round over those who wait, as long as something can be written.
void journal::write_waiting() {
  for (auto before = waiting_ + 1; waiting_ < before && !is_barred();) {
    before = waiting_;
    for (auto left = waiting_sessions_.size(); left > 0 && !is_barred(); --left) {
      const auto session = std::move(waiting_sessions_.front());
      waiting_sessions_.pop_front();
      add_waiting_to_group(session);
      if (is_group_full() || (left == 1 && !group_.empty()))
        write_group(false);
    }
  }
}

/// As many of its writes as there is room for, oldest first.
void journal::add_waiting_to_group(const session_key& session) {
  const auto found = sessions_.find(session);
  if (found == sessions_.end())
    return;
  auto& state = found->second;
  while (!state.waiting.empty() && !is_group_full() && has_room_for(*state.waiting.front().write)) {
    auto next = std::move(state.waiting.front());
    state.waiting.pop_front();
    --waiting_;
    add_to_group(state, std::move(next.write), std::move(next.listener));
  }
  state.is_queued = false;
  if (!state.waiting.empty())
    queue(state, session);
  forget_if_empty(session);
}

/// For a full disk: removing needs a little room there, too, and makes room within the files.
void journal::remove_in_portions() {
  while (!removals_.empty()) {
    const auto count = std::min(portion, removals_.size());
    const std::vector<db::journal_place> some(removals_.end() - static_cast<std::ptrdiff_t>(count), removals_.end());
    if (auto outcome = file_->commit({}, some); !outcome)
      return on_disk_failed(outcome.failure());
    on_disk_well();
    removals_.resize(removals_.size() - count);
  }
}

void journal::on_tick() {
  tick_at_.reset();
  if (failing_ && !is_barred())
    remove_in_portions();
  commit();
}

void journal::schedule_tick(std::chrono::milliseconds after) {
  const auto at = clock().now() + after;
  if (tick_at_ && *tick_at_ <= at)
    return;
  tick_at_ = at;
  delayed_send(this, after, journal_tick{});
}

void journal::on_disk_failed(const error& why) {
  if (!failing_)
    spdlog::error("{}; until it can be written, accepted events are in memory alone", why.message);
  note_failure(why);
  failing_ = why;
  retry_at_ = clock().now() + options_.retry_delay;
}

void journal::on_disk_well() {
  if (std::exchange(failing_, std::nullopt))
    spdlog::info("the journal {} can be written again", file_->path().string());
}

void journal::note_failure(const error& why) {
  last_error_ = why.message;
  last_error_at_ = options_.now();
}

void journal::tell(const caf::actor_addr& listener, session_call news) {
  if (auto alive = caf::actor_cast<write_listener>(listener))
    send(alive, std::move(news));
}

journal_actor spawn_journal(caf::actor_system& system, db::journal_file file, journal_options options) {
  return caf::actor_cast<journal_actor>(system.spawn<journal, caf::detached>(std::move(file), std::move(options)));
}

} // namespace colloquy::actors
