#include "actors/directory.hpp"

#include <caf/send.hpp>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto tick_interval = 1000ms;
constexpr auto full_retry = 50ms;
constexpr std::size_t held_requests_max = 1000;     // for one session that falls asleep or drains
constexpr std::size_t sleeps_per_tick_max = 10'000; // so that a tick stays short

error full_error() {
  return {error_code::overloaded, "too many sessions are in memory; see sessions_resident_max", full_retry};
}

const error shutting_down{error_code::internal, "the service is shutting down"};

} // namespace

directory::directory(caf::actor_config& config, supervisor_actor supervisor, directory_options options)
  : directory_internal::base(config)
  , supervisor_(std::move(supervisor))
  , options_(std::move(options))
  , environment_(std::make_shared<session_environment>())
  , ledger_(std::make_shared<writer_ledger>()) {
  environment_->now = options_.now;
  environment_->budget = options_.budget;
  environment_->session_undurable_bytes_max = options_.session_undurable_bytes_max;
  environment_->request_timeout = options_.request_timeout;
  environment_->supervisor = supervisor_;
  environment_->owner = caf::actor_cast<session_owner>(this);
  ledger_->process = options_.process;
  set_down_handler([this](caf::down_msg& down) { on_down(down); });
}

directory::behavior_type directory::make_behavior() {
  start_reader();
  start_writer();
  delayed_send(this, tick_interval, directory_tick{});
  return {[this](create_session& request) { return create(request); },
          [this](get_session& request) { return route<session_record>(request); },
          [this](append_events& request) { return route<appended>(request); },
          [this](start_turn& request) { return route<granted_turn>(request); },
          [this](end_turn& request) { return route<turn_record>(request); },
          [this](read_events& request) { return delegate(reader_, std::move(request)); },
          [this](flush) { return flush_all(); },
          [this](const session_finished& finished) {
            if (auto at = residents_.find(finished.session); at != residents_.end())
              put_to_sleep(at);
          },
          [this](const writer_ready& ready) {
            if (ready.writer == writer_)
              on_writer_ready();
          },
          [this](const session_ended& ended) { on_session_ended(ended); },
          [this](directory_tick) { on_tick(); }};
}

void directory::on_exit() {
  for (auto& waiting : flushes_)
    waiting.answer.deliver(result<flushed>(shutting_down));
  flushes_.clear();
  auto residents = std::exchange(residents_, {});
  for (auto& [key, entry] : residents) {
    for (auto& held : entry.held)
      held(shutting_down);
    send_exit(entry.actor, caf::exit_reason::user_shutdown);
  }
  send_exit(writer_, caf::exit_reason::user_shutdown);
  send_exit(reader_, caf::exit_reason::user_shutdown);
  writer_ = nullptr;
  reader_ = nullptr;
  supervisor_ = nullptr;
  environment_->owner = nullptr;
  environment_->supervisor = nullptr;
}

template <class Value, class Request>
caf::typed_response_promise<result<Value>> directory::route(Request& request) {
  auto answer = make_response_promise<result<Value>>();
  auto* found = find_or_wake(request.session);
  if (!found) {
    answer.deliver(result<Value>(full_error()));
  } else if (found->state == residence::awake) {
    answer.delegate(found->actor, std::move(request));
  } else if (found->held.size() >= held_requests_max) {
    answer.deliver(result<Value>(error{error_code::overloaded, "too many requests wait for this session", full_retry}));
  } else {
    found->held.push_back([answer, request = std::move(request)](result<resident*> next) mutable {
      if (next)
        answer.delegate((*next)->actor, std::move(request));
      else
        answer.deliver(result<Value>(next.failure()));
    });
  }
  return answer;
}

caf::typed_response_promise<result<session_record>> directory::create(create_session& request) {
  auto answer = make_response_promise<result<session_record>>();
  if (is_full()) {
    answer.deliver(result<session_record>(full_error()));
    return answer;
  }
  auto* made = start_session({request.tenant, session_id::make()}, session::origin::to_be_made);
  answer.delegate(made->actor, std::move(request));
  return answer;
}

directory::resident* directory::find_or_wake(const session_key& key) {
  if (auto at = residents_.find(key); at != residents_.end()) {
    at->second.last_used = clock().now();
    by_use_.splice(by_use_.end(), by_use_, at->second.place);
    return &at->second;
  }
  if (is_full())
    return nullptr;
  return start_session(key, session::origin::stored);
}

directory::resident* directory::start_session(const session_key& key, session::origin from) {
  auto actor = caf::actor_cast<session_actor>(spawn<session>(key, from, writer_, environment_));
  actor->attach_functor([self = caf::weak_actor_ptr(ctrl()), key, id = actor->id()](const caf::error&) {
    if (auto owner = self.lock())
      caf::anon_send(caf::actor_cast<directory_internal>(owner), session_ended{key, id});
  });
  resident entry;
  entry.actor = std::move(actor);
  entry.place = by_use_.insert(by_use_.end(), key);
  entry.last_used = clock().now();
  return &residents_.insert_or_assign(key, std::move(entry)).first->second;
}

bool directory::is_full() {
  if (residents_.size() < options_.sessions_resident_max)
    return false;
  if (auto at = residents_.find(by_use_.front()); at != residents_.end())
    put_to_sleep(at);
  return true;
}

void directory::put_to_sleep(resident_map::iterator at) {
  auto& entry = at->second;
  if (entry.state != residence::awake)
    return;
  entry.state = residence::falling_asleep;
  by_use_.splice(by_use_.end(), by_use_, entry.place); // so that the next one in turn is another
  ask_to_sleep(at->first, entry.actor);
}

void directory::ask_to_sleep(const session_key& key, const session_actor& actor) {
  request(actor, options_.request_timeout, go_to_sleep{})
      .then([this, key, of = actor.id()](sleep_answer answer) { on_sleep_answer(key, of, answer); },
            [this, key, of = actor.id()](const caf::error& failed) {
              if (failed != caf::sec::request_timeout)
                return; // it died, and session_ended says so
              // It is only slow; what is held for it waits for the answer, so it is asked again.
              if (auto* entry = find_falling_asleep(key, of))
                ask_to_sleep(key, entry->actor);
            });
}

directory::resident* directory::find_falling_asleep(const session_key& key, caf::actor_id actor) {
  auto at = residents_.find(key);
  const bool found = at != residents_.end() && at->second.state == residence::falling_asleep;
  return found && at->second.actor.id() == actor ? &at->second : nullptr;
}

void directory::on_sleep_answer(const session_key& key, caf::actor_id of, sleep_answer answer) {
  auto* entry = find_falling_asleep(key, of);
  if (!entry)
    return;
  if (answer.asleep)
    return end_residence(key);
  entry->state = residence::awake;
  for (auto& held : std::exchange(entry->held, {}))
    held(entry);
}

void directory::on_session_ended(const session_ended& ended) {
  auto at = residents_.find(ended.session);
  if (at == residents_.end() || at->second.actor.id() != ended.actor || at->second.state == residence::draining)
    return;
  spdlog::error("session {} ended unexpectedly; it wakes again when it is asked for", ended.session.id.to_string());
  drain(at);
}

void directory::drain(resident_map::iterator at) {
  auto& entry = at->second;
  entry.state = residence::draining;
  entry.held_until = clock().now() + options_.request_timeout;
  by_use_.splice(by_use_.end(), by_use_, entry.place); // nobody can ask it to make room
  await_writes_of(at->first);
}

void directory::await_writes_of(const session_key& key) {
  // Without the barrier the next incarnation could find less in the log than there will be, and give out offsets twice.
  // Until a new writer has settled, a batch of its predecessor may still commit.
  if (!writer_settled_)
    return draining_.push_back(key);
  request(writer_, options_.request_timeout + 1s, barrier{})
      .then(
          [this, key](const result<barrier_passed>& passed) {
            if (passed)
              end_residence(key);
            else
              draining_.push_back(key);
          },
          [this, key](const caf::error&) { draining_.push_back(key); });
}

void directory::drain_further() {
  if (writer_settled_)
    for (const auto& key : std::exchange(draining_, {}))
      await_writes_of(key);
}

void directory::refuse_held_too_long(time_point now) {
  for (const auto& key : draining_) {
    auto& entry = residents_.at(key);
    if (entry.held_until > now)
      continue;
    entry.held_until = now + options_.request_timeout;
    for (auto& held : std::exchange(entry.held, {}))
      held(error{error_code::database_unavailable,
                 "what the session wrote before it ended was not durable within the time allowed", 1000ms});
  }
}

void directory::end_residence(const session_key& key) {
  auto at = residents_.find(key);
  if (at == residents_.end())
    return;
  auto held = std::move(at->second.held);
  by_use_.erase(at->second.place);
  residents_.erase(at);
  if (held.empty())
    return;
  auto* next = find_or_wake(key);
  for (auto& request : held)
    request(next ? result<resident*>(next) : result<resident*>(full_error()));
}

void directory::on_tick() {
  const auto now = clock().now();
  std::size_t asked = 0;
  auto place = by_use_.begin();
  while (place != by_use_.end() && asked < sleeps_per_tick_max) {
    auto at = residents_.find(*place++);
    if (at->second.last_used + options_.session_idle_timeout > now)
      break;
    put_to_sleep(at);
    ++asked;
  }
  expire_flushes(now);
  refuse_held_too_long(now);
  drain_further();
  delayed_send(this, tick_interval, directory_tick{});
}

void directory::start_writer() {
  writer_settled_ = false;
  writer_ = caf::actor_cast<writer_actor>(
      spawn<writer>(ledger_, supervisor_, caf::actor_cast<writer_owner>(this), options_.writing));
  monitor(writer_);
}

void directory::start_reader() {
  reader_ = spawn<reader>(supervisor_, options_.request_timeout);
  monitor(reader_);
}

void directory::on_down(const caf::down_msg& down) {
  if (reader_ && down.source == reader_.address()) {
    spdlog::error("the reader ended; another one takes over");
    return start_reader();
  }
  if (!writer_ || down.source != writer_.address())
    return;
  spdlog::error("the writer ended; another one takes over");
  start_writer();
}

void directory::on_writer_ready() {
  resends_under_way_ = residents_.size() + 1;
  for (auto& [key, entry] : residents_)
    request(entry.actor, options_.request_timeout, resend_undurable{writer_})
        .then([this, of = writer_.id()](resent) { resend_answered(of); },
              [this, of = writer_.id()](const caf::error&) { resend_answered(of); });
  resend_answered(writer_.id());
}

void directory::resend_answered(caf::actor_id of_writer) {
  if (of_writer != writer_.id() || --resends_under_way_ > 0)
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
              waiting.answer.deliver(result<flushed>(flushed{passed->sessions_refused}));
            else if (clock().now() < waiting.deadline)
              flushes_.push_back(waiting); // the writer ended before its time was up: the next one answers it
            else
              waiting.answer.deliver(result<flushed>(passed.failure()));
          },
          [this, waiting](const caf::error&) { flushes_.push_back(waiting); }); // the next writer answers it
}

void directory::expire_flushes(time_point now) {
  std::erase_if(flushes_, [now](waiting_flush& waiting) {
    if (waiting.deadline > now)
      return false;
    waiting.answer.deliver(result<flushed>(
        error{error_code::database_unavailable, "not everything became durable within the time allowed", 1000ms}));
    return true;
  });
}

} // namespace colloquy::actors
