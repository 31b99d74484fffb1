#include "actors/database_backend.hpp"

#include "actors/blocking_job.hpp"

#include <caf/send.hpp>

#include <spdlog/spdlog.h>

#include <utility>

namespace colloquy::actors {
namespace {

using namespace std::chrono_literals;

constexpr auto watching_interval = 100ms;

// A cancel makes a connection of its own, and so does ending a backend.
constexpr std::chrono::milliseconds side_way_max{10'000};

// Ended by its number, a backend is gone at once, as a rule; one that is not is told so again.
constexpr auto termination_patience = 3s;
constexpr auto lingering_patience = 300ms;

// Whether it is gone cannot be asked: then its place is not kept for ever.
constexpr unsigned unknown_ends_max = 5;

// Without an owner there is nobody who could wait for long.
constexpr auto orphan_patience = 500ms;

constexpr const char* cancelled = "57014"; // query_canceled

const db::db_failure closed{db::failure_kind::wait, "", "closed"};

/// Its own last words: an administrator ended it, it crashed, or it was idle for too long.
bool is_gone_with(const std::string& sqlstate) {
  return sqlstate.starts_with("57P") || sqlstate == "25P03";
}

} // namespace

database_backend::database_backend(caf::actor_config& config, std::uint64_t slot, backend_owner owner,
                                   database_backend_options options)
  : database_backend_internal::base(config)
  , slot_(slot)
  , owner_(std::move(owner))
  , options_(std::move(options)) {
  monitor(owner_);
  set_down_handler([this](const caf::down_msg&) {
    owner_ = nullptr;
    close();
  });
}

database_backend::behavior_type database_backend::make_behavior() {
  start();
  return {[this](run_sql& request) { return run(request); },
          [this](const go_on_with_sql& request) { return go_on(request); },
          [this](cancel_running_sql) {
            if ((state_ == state::running || state_ == state::skipping) && watchdog_ == watchdog::calm)
              cancel();
          },
          [this](close_backend) { close(); },
          [this](const backend_socket_ready& ready) { on_socket(ready); },
          [this](backend_tick) { on_tick(); },
          [this](const backend_cancelled& news) {
            if (news.statement != statement_)
              return;
            cancel_is_away_ = false;
            if (state_ == state::running || state_ == state::skipping)
              return; // its end is on its way, or the watchdog goes further
            if (told_)
              probe();
          },
          [this](const backend_terminated& news) { on_terminated(news); }};
}

void database_backend::on_exit() {
  if (state_ != state::ended) {
    const db::db_failure why{db::failure_kind::connection_lost, "", "the connection's actor ended"};
    answer_lost(why);
    finish(why);
  }
  owner_ = nullptr;
  options_.reactor.reset();
}

bool database_backend::runs() const {
  return state_ == state::running || state_ == state::skipping || state_ == state::probing ||
         (link_ && link_->paused());
}

void database_backend::start() {
  deadline_ = clock().now() + options_.connect_timeout;
  delayed_send(this, watching_interval, backend_tick{});
  auto started = db::session_connection::start(options_.login.conninfo);
  if (!started)
    return give_up({db::failure_kind::wait, "", started.failure().message});
  link_ = std::move(*started);
  watch_for(db::io_need::write);
}

// --- statements ------------------------------------------------------------------------------------------------------

sql_told database_backend::nothing_but(std::string sqlstate, std::string why, bool ended) const {
  sql_told told;
  sql_refusal refused{std::move(sqlstate), std::move(why)};
  refused.ended_the_session = ended;
  told.progress.refused = std::move(refused);
  told.was_terminated = was_terminated_;
  return told;
}

database_backend::promise database_backend::run(run_sql& request) {
  auto answer = make_response_promise<sql_told>();
  if (state_ != state::idle || !request.what) {
    answer.deliver(nothing_but("08003", "the connection is not ready for a statement", is_over()));
    return answer;
  }
  answer_ = answer;
  deadline_ = request.deadline;
  ++statement_;
  was_cancelled_ = false;
  next_ = request.what;
  next_limits_ = request.limits;
  earlier_notices_.clear();
  if (link_->paused()) {
    state_ = state::skipping;
    link_->skip_rest();
  } else {
    state_ = state::running;
    link_->begin(*next_, next_limits_);
  }
  advance();
  return answer;
}

database_backend::promise database_backend::go_on(const go_on_with_sql& request) {
  auto answer = make_response_promise<sql_told>();
  if (state_ != state::idle || !link_->paused()) {
    answer.deliver(nothing_but("34000", "there is no statement with more rows", is_over()));
    return answer;
  }
  answer_ = answer;
  deadline_ = request.deadline;
  ++statement_;
  was_cancelled_ = false;
  state_ = state::running;
  link_->go_on(request.limits);
  advance();
  return answer;
}

void database_backend::on_socket(const backend_socket_ready& ready) {
  if (is_over() || ready.generation != generation_)
    return;
  read_armed_ = write_armed_ = false;
  advance();
}

void database_backend::advance() {
  if (is_over() || std::exchange(advancing_, true)) {
    advance_again_ = true;
    return;
  }
  auto need = db::io_need::none;
  do {
    advance_again_ = false;
    if (!link_->connected())
      watch_.reset();
    need = link_->advance();
    const bool ran = runs();
    take_progress();
    if (link_ && link_->broken())
      give_up(db::db_failure(*link_->broken()), ran);
    if (state_ == state::connecting && link_->connected()) {
      state_ = state::idle;
      pid_ = link_->backend_pid();
      send(owner_, backend_connected{slot_, pid_});
    }
  } while (advance_again_ && !is_over());
  advancing_ = false;
  if (is_over())
    return;
  if (auto heard = link_->take_notifications(); !heard.empty() && !is_closing_)
    send(owner_, backend_heard{slot_, std::move(heard)});
  watch_for(need);
}

void database_backend::take_progress() {
  auto progress = link_->take_progress();
  if (!progress)
    return;
  if (is_closing_) {
    if (link_->broken())
      return;
    if (link_->paused()) {
      link_->skip_rest();
      advance_again_ = true;
      return;
    }
    state_ = state::idle;
    return give_up(closed);
  }
  if (state_ == state::skipping && !link_->broken() && !was_cancelled_ && clock().now() < deadline_) {
    if (progress->refused) // what it has done before it failed is undone, and its caller has not heard of it
      earlier_notices_.push_back(
          {"WARNING", progress->refused->sqlstate,
           "the statement before, whose rows were not all read, has failed: " + progress->refused->message});
    state_ = state::running;
    link_->begin(*next_, next_limits_);
    advance_again_ = true;
    return;
  }
  if (state_ == state::probing) {
    if (progress->refused && progress->refused->sqlstate == cancelled)
      return probe(); // it took the signal itself
    return answer();
  }
  const bool was_hit = progress->refused && progress->refused->sqlstate == cancelled;
  if (state_ == state::skipping && !link_->broken()) {
    progress = db::sql_progress{};
    progress->refused =
        sql_refusal{cancelled, "it was cancelled, or its time was over, before it was begun: the statement before, "
                               "whose rows were not all read, had to be ended first"};
  }
  sql_told told;
  told.progress = std::move(*progress);
  told.progress.notices.insert(told.progress.notices.begin(), earlier_notices_.begin(), earlier_notices_.end());
  told.status = link_->transaction_status();
  told.was_terminated = was_terminated_;
  if (told.progress.refused)
    told.progress.refused->was_cancelled =
        was_cancelled_ && (told.progress.refused->sqlstate == cancelled || told.progress.refused->ended_the_session);
  told_ = std::move(told);
  state_ = state::idle;
  if (!was_cancelled_ || was_hit || link_->broken())
    return answer();
  if (!cancel_is_away_)
    probe();
}

/// The signal of a cancel that came too late is taken by this, at the latest.
void database_backend::probe() {
  if (is_over())
    return;
  if (link_->paused())
    return answer();
  state_ = state::probing;
  link_->begin({"SELECT 1"}, {});
  advance_again_ = true;
  if (!advancing_)
    advance();
}

void database_backend::answer() {
  if (!is_over())
    state_ = state::idle;
  watchdog_ = watchdog::calm;
  next_.reset();
  if (told_ && answer_.pending())
    answer_.deliver(std::move(*told_));
  told_.reset();
}

// --- the watchdog ----------------------------------------------------------------------------------------------------

void database_backend::on_tick() {
  if (state_ == state::ended)
    return;
  delayed_send(this, watching_interval, backend_tick{});
  const auto now = clock().now();
  if (state_ == state::connecting) {
    if (now >= deadline_)
      give_up({db::failure_kind::wait, "", "no connection within the time allowed (connect_timeout)"});
    return;
  }
  if (state_ == state::idle && !told_)
    return;
  if (state_ == state::lingering) {
    if (now >= patience_)
      terminate();
  } else if (watchdog_ == watchdog::calm && now >= deadline_) {
    cancel();
  } else if (watchdog_ == watchdog::cancelling && now >= patience_) {
    terminate();
  } else if (watchdog_ == watchdog::terminating && now >= patience_) {
    answer_lost({db::failure_kind::connection_lost, "57014", "the statement could not be ended in time"});
    terminate(); // nor is its place free
  }
}

void database_backend::cancel() {
  auto request = link_->make_cancel_request();
  watchdog_ = watchdog::cancelling;
  patience_ = clock().now() + (owner_ ? options_.cancel_grace : orphan_patience);
  if (!request)
    return;
  was_cancelled_ = cancel_is_away_ = true;
  run_blocking(this, caf::actor_cast<database_backend_internal>(this), side_way_max,
               backend_cancelled{statement_, false},
               [request = std::move(*request), statement = statement_]() -> backend_cancelled {
                 return {statement, request.run().has_value()};
               });
}

/// By its number: what catches the cancel, or is deaf to it, does not outlive this.
void database_backend::terminate() {
  if (std::exchange(termination_is_away_, true))
    return;
  patience_ = clock().now() + (state_ == state::lingering ? lingering_patience : termination_patience);
  if (std::exchange(watchdog_, watchdog::terminating) != watchdog::terminating)
    spdlog::warn("database session: backend {} {} and is ended", pid_,
                 state_ == state::lingering ? "may go on without its connection" : "obeys no cancel");
  was_terminated_ = was_terminated_ || state_ != state::lingering;
  run_blocking(this, caf::actor_cast<database_backend_internal>(this), side_way_max, backend_terminated{},
               [place = options_.place, role = options_.login.role, pid = pid_]() -> backend_terminated {
                 auto ended = db::end_database_backend(place, role, pid);
                 if (!ended) {
                   spdlog::warn("database session: backend {} could not be ended: {}", pid, ended.failure().message);
                   return {};
                 }
                 return {*ended ? backend_terminated::finding::told : backend_terminated::finding::gone};
               });
}

void database_backend::on_terminated(const backend_terminated& news) {
  termination_is_away_ = false;
  if (state_ == state::ended)
    return;
  const bool is_unknown = news.is == backend_terminated::finding::unknown;
  unknown_ends_ = is_unknown ? unknown_ends_ + 1 : 0;
  patience_ = clock().now() + (is_unknown || state_ != state::lingering ? termination_patience : lingering_patience);
  if (news.is != backend_terminated::finding::gone && unknown_ends_ < unknown_ends_max && (owner_ || !is_unknown))
    return;
  const db::db_failure why{db::failure_kind::connection_lost, "57014",
                           "the statement obeyed no cancel, and its connection was ended"};
  answer_lost(why);
  finish(why);
}

void database_backend::close() {
  is_closing_ = true;
  if (state_ == state::ended)
    return quit();
  answer_lost(closed);
  if (state_ == state::lingering)
    return;
  if (pid_ == 0 || !runs())
    return give_up(closed);
  if (watchdog_ == watchdog::calm && state_ != state::probing)
    cancel();
  if (state_ == state::idle) { // what it still has to say would keep it from hearing of the cancel
    state_ = state::skipping;
    link_->skip_rest();
    advance();
  }
}

/// The connection is of no use any more. What ran on it may go on all the same, and is watched to its end.
void database_backend::give_up(db::db_failure why, bool ran) {
  if (is_over())
    return;
  const bool goes_on = pid_ != 0 && (ran || runs()) && !is_gone_with(why.sqlstate);
  answer_lost(why);
  if (!goes_on)
    return finish(std::move(why));
  watch_.reset();
  link_.reset();
  state_ = state::lingering;
  watchdog_ = watchdog::calm;
  terminate();
}

void database_backend::answer_lost(const db::db_failure& why) {
  if (answer_.pending()) {
    if (!told_)
      told_ = nothing_but(why.sqlstate.empty() ? "08006" : why.sqlstate, why.message, true);
    told_->was_terminated = was_terminated_;
    if (told_->progress.refused)
      told_->progress.refused->was_cancelled = was_cancelled_;
    answer_.deliver(std::move(*told_));
  }
  told_.reset();
}

void database_backend::finish(db::db_failure why) {
  state_ = state::ended;
  watch_.reset();
  link_.reset();
  if (owner_)
    send(owner_, backend_ended{slot_, std::move(why), pid_ != 0});
  if (is_closing_)
    quit();
}

void database_backend::watch_for(db::io_need need) {
  if (!watch_) {
    read_armed_ = write_armed_ = false;
    const auto generation = ++generation_;
    watch_ = std::make_unique<socket_watch>(
        *options_.reactor, link_->socket(),
        [self = caf::actor_cast<database_backend_internal>(this), generation](socket_watch::readiness) {
          caf::anon_send(self, backend_socket_ready{generation});
        });
  }
  if ((need == db::io_need::read || need == db::io_need::read_write) && !std::exchange(read_armed_, true))
    watch_->arm_read();
  if ((need == db::io_need::write || need == db::io_need::read_write) && !std::exchange(write_armed_, true))
    watch_->arm_write();
}

} // namespace colloquy::actors
