#include "actors/sweeper.hpp"

#include "actors/log_line.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 250ms;
constexpr auto forget_again_after = 60s; // when it failed
constexpr auto processes_kept = 48h;

// A repeat that came at the very end of the time kept may still be under way.
constexpr auto keys_kept = limits::idempotency_kept + 1h;

const error no_answer{error_code::deadline_exceeded, "the directory does not answer"};

} // namespace

sweeper::sweeper(caf::actor_config& config, supervisor_actor supervisor, sweeper_directory directory,
                 sweeper_options options, sweeper_work work)
  : sweeper_internal::base(config)
  , supervisor_(std::move(supervisor))
  , directory_(std::move(directory))
  , options_(std::move(options))
  , work_(std::move(work)) {}

sweeper::behavior_type sweeper::make_behavior() {
  delayed_send(this, tick_interval, sweeper_tick{});
  return {[this](const shards_owned& told) { on_owned(told); }, [this](const ownership_lost& told) { on_lost(told); },
          [this](const run_erasure& wanted) { return add_erasure(wanted); }, [this](sweeper_tick) { on_tick(); }};
}

void sweeper::on_exit() {
  const error ended{error_code::internal, "what erases sessions ended; it goes on when it runs again"};
  for (auto& [session, each] : erasures_)
    answer(each, ended);
  erasures_.clear();
  supervisor_ = nullptr;
  directory_ = nullptr;
}

void sweeper::on_owned(const shards_owned& told) {
  if (!owns_as(told.process))
    sweep_due_ = clock().now(); // begun erasures have waited long enough
  process_ = told.process;
  owned_ = told.owned;
  drop_foreign();
}

void sweeper::on_lost(const ownership_lost& told) {
  if (told.process != process_)
    return;
  owned_.reset();
  old_.clear();
  old_page_ = {};
  drop_foreign();
}

void sweeper::on_tick() {
  delayed_send(this, tick_interval, sweeper_tick{});
  const auto now = clock().now();
  expire_waiters(now);
  for (auto& [session, each] : erasures_)
    if (each.state == erasure_state::delayed && each.due <= now)
      make_ready(session, each);
  run_steps();
  if (now < sweep_due_)
    return;
  sweep_due_ = now + options_.sweep_interval;
  if (owned_.any())
    sweep();
}

void sweeper::sweep() {
  mark_overdue();
  find_old();
  read_begun();
  forget();
}

// --- asking the database ---------------------------------------------------------------------------------------------

void sweeper::run(db::unit work, std::string_view purpose, const std::string& tenant,
                  std::function<void(const db::unit_outcome&)> then) {
  run_unit unit{std::move(work)};
  unit.tenant = tenant;
  unit.purpose = purpose;
  unit.deadline = clock().now() + options_.request_timeout;
  request(supervisor_, options_.request_timeout + pool_answer_margin, std::move(unit))
      .then(then, [then](const caf::error&) {
        then({{}, db::db_failure{db::failure_kind::connection_lost, "", "the pool does not answer"}});
      });
}

template <class Value>
void sweeper::ask(db::unit work, std::string_view purpose, const sweeper_work::decoder<Value>& decode,
                  std::function<void(result<Value>&)> then) {
  run(std::move(work), purpose, "", [this, purpose, &decode, then = std::move(then)](const db::unit_outcome& outcome) {
    auto read = decode(outcome);
    note(purpose, read ? nullptr : &read.failure());
    then(read);
  });
}

bool sweeper::may_pass(const error& problem) {
  return problem.code == error_code::database_unavailable || problem.code == error_code::deadline_exceeded ||
         problem.code == error_code::overloaded;
}

void sweeper::note(std::string_view purpose, const error* problem) {
  if (!problem)
    failing_.erase(purpose);
  else if (failing_.insert(purpose).second)
    spdlog::warn("{} fails and is tried again: {}", purpose, problem->message);
}

std::size_t sweeper::longer_by(std::size_t left) const {
  return std::min(options_.page + left, options_.page_max);
}

// --- what is overdue -------------------------------------------------------------------------------------------------

void sweeper::mark_overdue() {
  if (std::exchange(marking_, true))
    return;
  marked_ = 0;
  const auto limit = longer_by(overdue_left_);
  ask<std::vector<session_key>>(work_.find_overdue(options_.now(), owned_, limit), "find_overdue",
                                work_.decode_session_keys,
                                [this, process = process_, limit](result<std::vector<session_key>>& keys) {
                                  if (keys && !keys->empty())
                                    on_overdue(process, {limit, keys->size()}, *keys);
                                  else
                                    end_marking({});
                                });
}

void sweeper::on_overdue(process_id process, page of, const std::vector<session_key>& keys) {
  request(directory_, options_.request_timeout, expire_resident{keys})
      .then(
          [this, process, of](result<sessions_not_resident>& others) {
            note("expire_resident", others ? nullptr : &others.failure());
            if (others)
              start_marking(process, of, others->sessions);
            else
              end_marking({});
          },
          [this](const caf::error&) {
            note("expire_resident", &no_answer);
            end_marking({});
          });
}

void sweeper::start_marking(process_id process, page of, const std::vector<session_key>& others) {
  // A longer page is there to see behind what stays.
  const auto count = static_cast<std::ptrdiff_t>(std::min(others.size(), options_.page));
  to_mark_.assign(others.begin(), others.begin() + count);
  mark_at_once_ = options_.page;
  mark_more(process, of);
}

void sweeper::mark_more(process_id process, page of) {
  if (to_mark_.empty() || !owns_as(process))
    return end_marking(of);
  const auto count = std::min(mark_at_once_, to_mark_.size());
  const std::vector<session_key> keys(to_mark_.begin(), to_mark_.begin() + static_cast<std::ptrdiff_t>(count));
  ask<std::int64_t>(work_.mark_expired(process, options_.now(), keys), "mark_expired", work_.decode_marked,
                    [this, process, of, count](result<std::int64_t>& marked) {
                      if (!marked && may_pass(marked.failure()))
                        return end_marking({}); // the next sweep finds them again
                      on_marked(count, marked);
                      mark_more(process, of);
                    });
}

void sweeper::on_marked(std::size_t count, const result<std::int64_t>& marked) {
  if (marked) {
    marked_ += static_cast<std::size_t>(std::max<std::int64_t>(*marked, 0));
    to_mark_.erase(to_mark_.begin(), to_mark_.begin() + static_cast<std::ptrdiff_t>(count));
    mark_at_once_ = std::min(count * 2, options_.page);
  } else if (count > 1) {
    mark_at_once_ = count / 2; // until the one that is refused is alone, and harms no other
  } else {
    if (unmarkable_.size() < options_.page && unmarkable_.insert(to_mark_.front()).second)
      log_about(spdlog::level::err, {to_mark_.front()}, "the session cannot be marked as expired: {}",
                marked.failure().message);
    to_mark_.pop_front();
  }
}

void sweeper::end_marking(page of) {
  marking_ = false;
  to_mark_.clear();
  overdue_left_ = of.is_full() ? of.found - std::min(marked_, of.found) : 0;
  if (of.is_full() && marked_ > 0 && owned_.any())
    mark_overdue();
}

// --- what expired long ago -------------------------------------------------------------------------------------------

void sweeper::find_old() {
  if (!options_.expired_retention || finding_old_ || !old_.empty() || erasing_old_ > 0)
    return;
  finding_old_ = true;
  const auto limit = longer_by(old_left_);
  ask<std::vector<session_key>>(work_.find_expired_before(options_.now() - *options_.expired_retention, owned_, limit),
                                "find_expired_before", work_.decode_session_keys,
                                [this, process = process_, limit](result<std::vector<session_key>>& keys) {
                                  finding_old_ = false;
                                  old_left_ = old_gone_ = 0;
                                  if (!keys || !owns_as(process))
                                    return;
                                  old_page_ = {limit, keys->size()};
                                  old_.assign(keys->begin(), keys->end());
                                  erase_old();
                                });
}

void sweeper::erase_old() {
  while (!old_.empty() && erasing_old_ < options_.erase_at_once_max) {
    ++erasing_old_;
    erase_session wanted{old_.front()};
    old_.pop_front();
    request(directory_, options_.request_timeout + pool_answer_margin, std::move(wanted))
        .then([this](const result<erased>& gone) { on_old_erased(gone ? nullptr : &gone.failure()); },
              [this](const caf::error&) { on_old_erased(&no_answer); });
  }
}

void sweeper::on_old_erased(const error* problem) {
  --erasing_old_;
  note("erase_session", problem);
  // Late is hidden already: the rest goes on by itself.
  if (!problem || problem->code == error_code::not_found || problem->code == error_code::deadline_exceeded)
    ++old_gone_;
  erase_old();
  if (!old_.empty() || erasing_old_ > 0)
    return;
  old_left_ = old_page_.is_full() ? old_page_.found - std::min(old_gone_, old_page_.found) : 0;
  // If most of them stayed, trying those again and again for the few others would cost too much.
  if (old_page_.is_full() && old_gone_ > old_left_ && owned_.any())
    find_old();
}

// --- what nobody asks for any more -----------------------------------------------------------------------------------

void sweeper::forget() {
  if (clock().now() < forget_due_ || std::exchange(forgetting_, true))
    return;
  forget_more_keys(process_);
}

void sweeper::forget_more_keys(process_id process) {
  ask<std::int64_t>(work_.forget_keys(options_.now() - keys_kept, options_.forget_rows), "forget_keys",
                    work_.decode_forgotten, [this, process](result<std::int64_t>& gone) {
                      if (!gone || !owns_as(process))
                        return end_forgetting(forget_again_after);
                      if (static_cast<std::size_t>(*gone) >= options_.forget_rows)
                        return forget_more_keys(process);
                      ask<std::int64_t>(work_.forget_processes(options_.now() - processes_kept), "forget_processes",
                                        work_.decode_forgotten, [this](result<std::int64_t>& rest) {
                                          end_forgetting(rest ? options_.forget_interval : forget_again_after);
                                        });
                    });
}

void sweeper::end_forgetting(std::chrono::milliseconds again_after) {
  forgetting_ = false;
  forget_due_ = clock().now() + again_after;
}

} // namespace colloquy::actors
