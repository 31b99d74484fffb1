#include "actors/journal_replay.hpp"

#include "actors/directory.hpp"
#include "actors/log_line.hpp"

#include <caf/actor_system.hpp>
#include <caf/scoped_actor.hpp>
#include <caf/sec.hpp>
#include <caf/send.hpp>

#include <algorithm>
#include <string>
#include <type_traits>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto again_after = 100ms;

// A session answers within twice its own time: to wake, and until all is durable. This is only for one that does not.
constexpr int session_times = 3;

// A journal is read within this time whatever is in it: each step of that has a deadline of its own.
constexpr auto replay_lasts_max = 86'400s;

/// It is not the fault of the session that was asked.
bool is_everybodys(const error& why) {
  return why.code == error_code::database_unavailable || why.code == error_code::deadline_exceeded ||
         why.code == error_code::overloaded || why.code == error_code::not_owner;
}

} // namespace

journal_replayer::journal_replayer(caf::actor_config& config, journal_actor journal, const directory_actor& directory,
                                   replay_options options)
  : journal_replayer_internal::base(config)
  , journal_(std::move(journal))
  , directory_(caf::actor_cast<caf::actor>(directory))
  , options_(std::move(options))
  , owned_(options_.owned) {}

journal_replayer::behavior_type journal_replayer::make_behavior() {
  return {[this](run_replay) {
            answer_ = make_response_promise<result<journal_replay>>();
            owned_by_ = clock().now() + options_.awaits_owned;
            ask(journal_, get_journal_users{}, [this](result<journal_users>& users) {
              if (!users)
                return end(users.failure());
              users_.insert(users->processes.begin(), users->processes.end());
              read_page();
            });
            return answer_;
          },
          [this](replay_again) { try_again(); }};
}

void journal_replayer::on_exit() {
  end(error{error_code::internal, "the replay of the journal ended; what is not replayed is still there"});
  journal_ = nullptr;
  directory_ = nullptr;
}

/// Nothing of what is asked is waited for once the replay has ended.
template <class Request, class Handle, class Then>
void journal_replayer::ask(const Handle& whom, Request wanted, Then then) {
  using outcome = result<typename Request::reply>;
  constexpr bool is_sessions = std::is_same_v<Request, replay_session>;
  const auto limit = is_sessions ? session_times * options_.request_timeout : options_.request_timeout;
  ++under_way_;
  request(whom, limit, std::move(wanted))
      .then(
          [this, then](outcome& given) mutable {
            --under_way_;
            if (!has_ended_)
              then(given);
            go_on();
          },
          [this, then](const caf::error& failed) mutable {
            --under_way_;
            outcome none{failed == caf::sec::request_timeout
                             ? error{error_code::deadline_exceeded, "no answer within the time allowed"}
                             : error{error_code::internal, "whoever was asked has ended"}};
            if (!has_ended_)
              then(none);
            go_on();
          });
}

// --- reading it ------------------------------------------------------------------------------------------------------

void journal_replayer::read_page() {
  read_journal wanted;
  wanted.after = after_;
  ask(journal_, wanted, [this](result<journal_page>& page) {
    if (!page)
      return end(page.failure());
    on_page(*page);
  });
}

void journal_replayer::on_page(journal_page& page) {
  for (auto& record : page.records) {
    if (!open_.empty() && open_.front().write->session != record.write->session)
      ready_.push_back(std::exchange(open_, {}));
    open_.push_back(std::move(record));
  }
  after_ = page.next;
  is_read_ = !after_;
  if (is_read_ && !open_.empty())
    ready_.push_back(std::exchange(open_, {}));
}

/// The next sessions; behind the last of a page, the next page; behind that, the end.
void journal_replayer::go_on() {
  if (has_ended_)
    return;
  while (!ready_.empty() && under_way_ < options_.sessions_at_once) {
    auto next = std::make_shared<one_session>();
    next->its_records = std::move(ready_.front());
    next->key = next->its_records.front().write->session;
    next->tried_until = clock().now() + options_.patience;
    ready_.pop_front();
    begin(next);
  }
  if (under_way_ > 0 || !ready_.empty())
    return;
  if (!done_.empty())
    return forget_done();
  if (!is_read_)
    return read_page();
  end(outcome_);
}

void journal_replayer::forget_done() {
  ask(journal_, journal_forget{std::exchange(done_, {})}, [this](const result<journal_forgotten>& forgotten) {
    if (!forgotten)
      end(forgotten.failure());
  });
}

void journal_replayer::end(result<journal_replay> outcome) {
  if (std::exchange(has_ended_, true))
    return;
  if (outcome)
    caf::anon_send(directory_, journal_replayed{});
  reply(answer_, std::move(outcome));
  ready_.clear();
  quit();
}

// --- one session -----------------------------------------------------------------------------------------------------

bool journal_replayer::is_owned(const session_key& session) const {
  return owned_.owned.test(db::shard_of(session.id));
}

bool journal_replayer::has_moved(const journal_record& record) const {
  if (!is_owned(record.write->session) || owned_.previous.size() != db::shard_count)
    return true;
  const auto& last = owned_.previous[db::shard_of(record.write->session.id)];
  return !last || (*last != record.origin.process && !users_.contains(*last));
}

void journal_replayer::begin(const session_ptr& each) {
  if (!is_owned(each->key) && clock().now() < owned_by_)
    return try_later(each);
  records ours, others;
  for (auto& record : each->its_records)
    (has_moved(record) ? others : ours).push_back(std::move(record));
  each->its_records = std::move(ours);
  put_aside(each->key, others, "another process has owned the session meanwhile");
  if (!each->its_records.empty())
    replay(each);
}

void journal_replayer::replay(const session_ptr& each) {
  replay_session wanted{each->key, {}};
  const auto& all = each->its_records;
  for (std::size_t i = 0; i < all.size(); ++i) {
    wanted.records.writes.push_back(all[i].write);
    if (i > 0 && all[i].origin.process != all[i - 1].origin.process)
      wanted.records.begins.push_back(i);
  }
  ask(directory_, std::move(wanted), [this, each](const result<replayed>& outcome) {
    if (outcome)
      on_replayed(each, *outcome);
    else
      on_failed(each, outcome.failure());
  });
}

void journal_replayer::on_replayed(const session_ptr& each, const replayed& outcome) {
  const auto& all = each->its_records;
  const auto erases = [](const journal_record& record) { return record.write->erases; };
  const auto makes = [](const journal_record& record) { return record.write->row != nullptr; };
  if (outcome.fate == replay_fate::is_erased)
    return erase(each->key, all.size());
  if (outcome.fate == replay_fate::is_unknown) {
    if (std::any_of(all.begin(), all.end(), erases))
      return erase(each->key, all.size());
    if (std::all_of(all.begin(), all.end(), makes))
      return forget(all);
    return put_aside(each->key, all, "there is no such session");
  }
  outcome_.durable_already += outcome.durable_already;
  outcome_.written_again += outcome.written;
  records unfitting, settled;
  for (std::size_t i = 0; i < all.size(); ++i) {
    const auto& not_fit = outcome.unfitting;
    (std::find(not_fit.begin(), not_fit.end(), i) != not_fit.end() ? unfitting : settled).push_back(all[i]);
  }
  forget(settled);
  put_aside(each->key, unfitting,
            outcome.why.empty() ? "they do not continue the session" : "they cannot be written: " + outcome.why);
}

void journal_replayer::on_failed(const session_ptr& each, const error& why) {
  if (!is_everybodys(why))
    return put_aside(each->key, each->its_records,
                     "the session cannot be replayed: " + std::string(to_string(why.code)));
  if (clock().now() >= each->tried_until)
    return end(why);
  try_later(each);
}

void journal_replayer::try_later(const session_ptr& each) {
  ++under_way_;
  if (to_try_.empty())
    delayed_send(this, again_after, replay_again{});
  to_try_.push_back(each);
}

void journal_replayer::try_again() {
  if (has_ended_)
    return;
  ask(directory_, await_ownership{}, [this](const result<shards_owned>& told) {
    if (told)
      owned_ = *told;
    for (const auto& each : std::exchange(to_try_, {})) {
      --under_way_;
      begin(each);
    }
  });
}

void journal_replayer::forget(const records& these) {
  for (const auto& record : these)
    done_.push_back(record.place);
}

void journal_replayer::put_aside(const session_key& session, const records& these, const std::string& why) {
  if (these.empty())
    return;
  quarantine wanted;
  wanted.reason = why;
  for (const auto& record : these)
    wanted.records.push_back(record.place);
  ask(journal_, std::move(wanted), [this, session, why](const result<quarantined>& answer) {
    if (!answer)
      return end(answer.failure());
    outcome_.quarantined += answer->records;
    log_about(spdlog::level::err, {session}, "{} records of the journal go to the quarantine: {}", answer->records,
              why);
  });
}

void journal_replayer::erase(const session_key& session, std::size_t its_records) {
  log_about(spdlog::level::info, {session}, "{} records of the journal are of an erased session, and go with it",
            its_records);
  ++outcome_.erased;
  ask(journal_, journal_erase{session}, [this](const result<journal_erased>& answer) {
    if (!answer)
      end(answer.failure());
  });
}

// --- from outside ----------------------------------------------------------------------------------------------------

result<journal_replay> replay_journal(caf::actor_system& system, const journal_actor& journal,
                                      const directory_actor& directory, replay_options options) {
  result<journal_replay> outcome{error{error_code::internal, "the replay of the journal was not answered"}};
  caf::scoped_actor self{system};
  const auto replayer = system.spawn<journal_replayer>(journal, directory, std::move(options));
  self->request(replayer, replay_lasts_max, run_replay{})
      .receive([&](result<journal_replay>& done) { outcome = std::move(done); }, [](const caf::error&) {});
  return outcome;
}

} // namespace colloquy::actors
