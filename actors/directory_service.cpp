// What serves all sessions: writer, ownership, sweeper, catalog. See directory.hpp for the rules.
#include "actors/directory.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {

using namespace std::chrono_literals;

namespace {

// With it, an accepted answer waits until the database has what it promises, as when the journal's disk is full.
constexpr const char* journal_is_gone =
    "the journal's actor has ended; what is accepted is answered when it is durable, until the service starts again";
constexpr const char* journal_is_silent = "the journal did not say how it is within the time allowed";

} // namespace

void directory::start_writer() {
  writer_settled_ = false;
  writer_ = caf::actor_cast<writer_actor>(
      spawn<writer>(ledger_, supervisor_, caf::actor_cast<writer_owner>(this), options_.writing));
  monitor(writer_);
}

void directory::start_catalog() {
  catalog_ = caf::actor_cast<catalog_actor>(spawn<catalog>(supervisor_, caf::actor_cast<catalog_directory>(this),
                                                           catalog_options{options_.now, options_.request_timeout}));
  monitor(catalog_);
}

void directory::start_sweeper() {
  auto sweeping = options_.sweeping;
  sweeping.now = options_.now;
  sweeper_ = caf::actor_cast<sweeper_actor>(
      spawn<sweeper>(supervisor_, caf::actor_cast<sweeper_directory>(this), std::move(sweeping)));
  monitor(sweeper_);
}

void directory::start_ownership(process_id former) {
  auto owning = options_.owning;
  if (!former.is_nil())
    owning.former = former; // its shards need not be waited for
  ownership_ = caf::actor_cast<ownership_actor>(
      spawn<ownership>(supervisor_, caf::actor_cast<ownership_listener>(this), std::move(owning)));
  monitor(ownership_);
}

void directory::on_down(const caf::down_msg& down) {
  if (catalog_ && down.source == catalog_.address()) {
    spdlog::error("the catalog ended; another one takes over");
    return start_catalog();
  }
  if (sweeper_ && down.source == sweeper_.address()) {
    spdlog::error("the sweeper ended; another one takes over");
    start_sweeper();
    if (sweeps_)
      send(sweeper_, last_owned_);
    return;
  }
  if (ownership_ && down.source == ownership_.address()) {
    spdlog::error("the ownership actor ended; another one takes over, under another identity");
    auto former = last_owned_.process;
    on_lost({former});
    return start_ownership(former);
  }
  if (options_.journal && down.source == options_.journal.address()) {
    spdlog::critical("{}", journal_is_gone);
    journal_is_gone_ = true;
    return;
  }
  if (!writer_ || down.source != writer_.address())
    return;
  spdlog::error("the writer ended; another one takes over");
  start_writer();
}

// --- ownership -------------------------------------------------------------------------------------------------------

void directory::on_owned(const shards_owned& news) {
  if (!environment_ || environment_->process != news.process)
    begin_anew(news.process);
  owned_ = news.owned;
  note_owned(news);
  if (sweeps_)
    send(sweeper_, news);
  for (auto& waiting : std::exchange(awaiting_ownership_, {}))
    reply(waiting, result<shards_owned>(news));
}

/// With whoever had each shard before, also of those that were told earlier.
void directory::note_owned(const shards_owned& news) {
  auto former = std::exchange(last_owned_, news);
  auto& previous = last_owned_.previous;
  if (former.process != news.process || former.previous.size() != db::shard_count)
    return;
  if (previous.empty())
    previous.resize(db::shard_count);
  for (std::size_t shard = 0; shard < previous.size(); ++shard)
    if (!news.newly.test(shard))
      previous[shard] = former.previous[shard];
}

void directory::begin_anew(process_id process) {
  auto made = std::make_shared<session_environment>();
  made->process = process;
  made->now = options_.now;
  made->budget = options_.budget;
  made->tails = tails_;
  made->session_undurable_bytes_max = options_.session_undurable_bytes_max;
  made->turns_queued_max = options_.turns_queued_max;
  made->sliding_expiry = options_.sliding_expiry;
  made->request_timeout = options_.request_timeout;
  made->count_tokens = options_.count_tokens;
  made->supervisor = supervisor_;
  made->owner = caf::actor_cast<session_owner>(this);
  made->journal = options_.journal;
  environment_ = std::move(made);
  if (options_.journal)
    send(options_.journal, journal_process{{process, 0}});
  ledger_ = std::make_shared<writer_ledger>();
  ledger_->process = process;
  start_writer();
}

/// Nothing of what is in memory may be trusted any more: the new owner may have written already.
void directory::on_lost(const ownership_lost& news) {
  if (!environment_ || environment_->process != news.process)
    return;
  spdlog::error("another process has taken over the sessions of this one; what is not durable is lost to it");
  owned_.reset();
  last_owned_.owned.reset();
  last_owned_.newly.reset();
  environment_ = nullptr;
  send(sweeper_, news);
  if (writer_) {
    demonitor(writer_.address());
    send_exit(writer_, caf::exit_reason::user_shutdown);
    writer_ = nullptr;
  }
  writer_settled_ = false;
  const error lost{error_code::not_owner, "another process owns this session", 1000ms};
  for (auto& waiting : std::exchange(flushes_, {}))
    reply(waiting.answer, result<flushed>(lost));
  draining_.clear();
  std::vector<session_key> dead;
  for (auto& [key, entry] : residents_) {
    if (entry.state == residence::draining)
      dead.push_back(key.full());
    else
      send(entry.actor, session_call{session_disowned{}});
  }
  for (const auto& key : dead)
    end_residence(key); // nobody's writes are waited for; what is held is answered not_owner
}

void directory::begin_sweeping() {
  if (!std::exchange(sweeps_, true) && environment_)
    send(sweeper_, last_owned_);
}

promise_of<await_ownership> directory::tell_ownership() {
  auto answer = make_response_promise<result<shards_owned>>();
  if (environment_)
    reply(answer, result<shards_owned>(last_owned_));
  else
    awaiting_ownership_.push_back(answer);
  return answer;
}

// --- the writer ------------------------------------------------------------------------------------------------------

void directory::on_writer_ready() {
  resends_under_way_ = residents_.size() + 1;
  for (auto& [key, entry] : residents_)
    request(caf::actor_cast<caf::actor>(entry.actor), options_.request_timeout, session_call{resend_undurable{writer_}})
        .then([this, of = writer_.id()](resent) { resend_answered(of); },
              [this, of = writer_.id()](const caf::error&) { resend_answered(of); });
  resend_answered(writer_.id());
}

void directory::resend_answered(caf::actor_id of_writer) {
  if (!writer_ || of_writer != writer_.id() || --resends_under_way_ > 0)
    return;
  writer_settled_ = true;
  for (auto& waiting : std::exchange(flushes_, {}))
    pass_barrier(std::move(waiting));
  drain_further();
}

directory::flush_promise directory::flush_all() {
  waiting_flush waiting{make_response_promise<result<flushed>>(), clock().now() + options_.request_timeout};
  auto answer = waiting.answer;
  if (writer_settled_)
    pass_barrier(std::move(waiting));
  else
    flushes_.push_back(std::move(waiting));
  return answer;
}

void directory::pass_barrier(waiting_flush waiting) {
  request(writer_, options_.request_timeout + 1s, barrier{})
      .then(
          [this, waiting](const result<barrier_passed>& passed) mutable {
            if (passed)
              reply(waiting.answer, result<flushed>(flushed{passed->sessions_refused}));
            else if (clock().now() < waiting.deadline)
              flushes_.push_back(waiting); // the writer ended before its time was up: the next one answers it
            else
              reply(waiting.answer, result<flushed>(passed.failure()));
          },
          [this, waiting](const caf::error&) { flushes_.push_back(waiting); }); // the next writer answers it
}

void directory::expire_flushes(time_point now) {
  std::erase_if(flushes_, [now](waiting_flush& waiting) {
    if (waiting.deadline > now)
      return false;
    reply(waiting.answer, result<flushed>(error{error_code::database_unavailable,
                                                "not everything became durable within the time allowed", 1000ms}));
    return true;
  });
}

/// `then` comes when all of them have answered, or will not; with how many were too slow to.
template <class Answer>
void directory::tell_sessions(const session_call& call, const std::function<bool(const resident_key&)>& is_meant,
                              std::function<void(std::size_t)> then) {
  struct telling {
    std::function<void(std::size_t)> then;
    std::size_t missing = 1;
    std::size_t late = 0;
    void one_less() {
      if (--missing == 0)
        then(late);
    }
  };
  auto all = std::make_shared<telling>(telling{std::move(then)});
  for (auto& [key, entry] : residents_) {
    if (!is_meant(key))
      continue;
    ++all->missing;
    request(caf::actor_cast<caf::actor>(entry.actor), options_.request_timeout, call)
        .then([all](const Answer&) { all->one_less(); },
              [all](const caf::error& failed) {
                all->late += failed == caf::sec::request_timeout ? 1 : 0; // else it has ended
                all->one_less();
              });
  }
  all->one_less();
}

/// What is accepted behind the last flush could be lost after it was answered.
promise_of<close_directory> directory::close() {
  is_closed_ = true;
  auto answer = make_response_promise<result<directory_closed>>();
  tell_sessions<session_closed>(
      session_call{close_session{}}, [](const resident_key&) { return true; },
      [answer](std::size_t) { reply(answer, result<directory_closed>(directory_closed{})); });
  return answer;
}

promise_of<forget_user_here> directory::forget(const forget_user_here& request) {
  auto answer = make_response_promise<result<user_forgotten_here>>();
  const auto in_journal = [this, answer, tenant = request.tenant](std::size_t late) {
    if (late > 0)
      return reply(answer,
                   result<user_forgotten_here>(
                       error{error_code::deadline_exceeded, std::to_string(late) + " sessions took too long", 1000ms}));
    forget_in_journal(answer, tenant);
  };
  tell_sessions<user_forgotten>(
      session_call{forget_user{request.user_id}},
      [tenant = request.tenant](const resident_key& key) { return *key.tenant == tenant; }, in_journal);
  return answer;
}

/// It has records of no such session; but it writes its file anew, without what was in it before.
void directory::forget_in_journal(promise_of<forget_user_here> answer, const tenant_id& tenant) {
  const user_forgotten_here forgotten{owned_.all()};
  if (!options_.journal)
    return reply(answer, result<user_forgotten_here>(forgotten));
  if (journal_is_gone_)
    return reply(answer, result<user_forgotten_here>(error{error_code::internal, journal_is_gone}));
  request(options_.journal, options_.request_timeout, journal_erase{{tenant, session_id{}}})
      .then(
          [answer, forgotten](const result<journal_erased>& outcome) {
            reply(answer,
                  outcome ? result<user_forgotten_here>(forgotten) : result<user_forgotten_here>(outcome.failure()));
          },
          [answer](const caf::error&) {
            reply(answer, result<user_forgotten_here>(
                              error{error_code::deadline_exceeded, "the journal takes longer to forget", 1000ms}));
          });
}

promise_of<report_undurable> directory::collect_undurable() {
  constexpr std::size_t sessions_max = 1000;
  struct collecting {
    promise_of<report_undurable> answer;
    std::size_t missing = 1;
    undurable_report report{};
    void one_less() {
      if (--missing == 0)
        reply(answer, result<undurable_report>(std::move(report)));
    }
  };
  auto all = std::make_shared<collecting>(collecting{make_response_promise<result<undurable_report>>()});
  for (auto& [key, entry] : residents_) {
    ++all->missing;
    request(caf::actor_cast<caf::actor>(entry.actor), 1s, session_call{tell_undurable{}})
        .then(
            [all](const undurable_left& left) {
              if (left.events > 0 && all->report.sessions.size() < sessions_max)
                all->report.sessions.push_back(left);
              all->one_less();
            },
            [all](const caf::error&) { all->one_less(); });
  }
  auto answer = all->answer;
  all->one_less();
  return answer;
}

// --- health ----------------------------------------------------------------------------------------------------------

/// What is being put together from those who know.
struct directory::health_asking {
  promise_of<get_health> answer;
  service_health health;
  std::size_t unanswered = 0;

  void is_answered() {
    if (--unanswered == 0)
      reply(answer, result<service_health>(std::move(health)));
  }
};

template <class Reply, class Actor, class Question>
void directory::ask_health(const std::shared_ptr<health_asking>& asking, const Actor& whom, Question question,
                           std::function<void(service_health&, const Reply*)> note) {
  ++asking->unanswered;
  request(caf::actor_cast<caf::actor>(whom), options_.request_timeout, question)
      .then(
          [asking, note](const result<Reply>& told) {
            note(asking->health, told ? &*told : nullptr);
            asking->is_answered();
          },
          [asking, note](const caf::error&) {
            note(asking->health, nullptr);
            asking->is_answered();
          });
}

promise_of<get_health> directory::tell_health() {
  auto asking = std::make_shared<health_asking>();
  asking->answer = make_response_promise<result<service_health>>();
  auto& health = asking->health;
  health.shards_owned = owned_.count();
  health.sessions_resident = residents_.size();
  health.undurable_bytes = options_.budget->used_bytes();
  health.undurable_bytes_max = options_.budget->bytes_max();
  health.journal_on = static_cast<bool>(options_.journal);
  ask_health<ownership_status>(asking, ownership_, get_ownership_status{},
                               [](service_health& of, const ownership_status* status) {
                                 of.database_reachable = status && !status->failing_for;
                                 if (status)
                                   of.away_for = status->failing_for;
                               });
  if (writer_)
    ask_health<writer_status>(asking, writer_, get_writer_status{},
                              [](service_health& of, const writer_status* status) {
                                if (!status)
                                  return; // it has just ended; the next one has everything
                                of.writes_queued = status->writes_queued;
                                of.batches_in_flight = status->batches_in_flight;
                                of.sessions_refused = status->sessions_refused;
                              });
  if (journal_is_gone_)
    health.journal_problem = journal_is_gone;
  else if (options_.journal)
    ask_health<journal_status>(asking, options_.journal, get_journal_status{},
                               [](service_health& of, const journal_status* status) {
                                 if (!status) {
                                   of.journal_problem = journal_is_silent;
                                   return;
                                 }
                                 of.journal_problem = status->problem;
                                 of.journal_bytes = status->bytes;
                                 of.journal_bytes_max = status->bytes_max;
                                 of.journal_quarantined = status->quarantined;
                               });
  return asking->answer;
}

} // namespace colloquy::actors
