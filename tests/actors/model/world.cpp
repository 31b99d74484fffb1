#include "tests/actors/model/world.hpp"

#include <caf/send.hpp>

#include <utility>

namespace colloquy::model {

using namespace std::chrono_literals;

/// Sessions sleep soon, deadlines are short, batches small; and this process' ownership is not what is looked at.
actors::directory_options world::options() {
  actors::directory_options options;
  options.session_idle_timeout = 1s;
  options.request_timeout = 3s;
  options.writing.batch_events_max = 4;
  options.owning.interval = 1h;
  options.sweeping.sweep_interval = 1h;
  return options;
}

world::world()
  : service(options()) {}

// --- asking ----------------------------------------------------------------------------------------------------------

void world::answered(std::uint64_t number, const std::function<void()>& take) {
  note([&] {
    const auto found = unanswered_.extract(number);
    must(!found.empty(), "a request was answered twice");
    take();
  });
}

void world::note(const std::function<void()>& check) {
  if (is_closed_)
    return;
  try {
    check();
  } catch (const violation& broken) {
    if (!problem_)
      problem_ = broken.what();
  }
}

void world::close() {
  is_closed_ = true;
  for (auto& each : listeners)
    if (each.self)
      caf::anon_send_exit(std::exchange(each.self, nullptr), caf::exit_reason::kill);
}

void world::look() const {
  if (problem_)
    throw violation(*problem_);
}

void world::check_error(std::size_t session, const error& why) const {
  const auto& of = sessions[session];
  const auto name = std::string(to_string(why.code)) + " (" + why.message + ")";
  switch (why.code) {
  case error_code::internal:
  case error_code::database_unavailable:
  case error_code::deadline_exceeded:
  case error_code::turn_lost:
  case error_code::turn_in_progress:
    return;
  case error_code::not_found:
    return must(of.erase_asked, "answered with " + name + ", and nobody has erased the session");
  case error_code::session_not_active:
    return must(!of.statuses_asked.empty(), "answered with " + name + ", and nobody has paused the session");
  case error_code::idempotency_mismatch:
    return must(!of.keys.empty(), "answered with " + name + ", and there is no key");
  default:
    must(false, "answered with " + name);
  }
}

void world::note_answer(write_place at, const error* problem, std::optional<event_offset> place) {
  auto& of = write(at);
  ++of.answered;
  if (!problem) {
    of.is_taken = true;
    if (place)
      of.places.insert(*place);
    return;
  }
  of.is_unknown =
      of.is_unknown || problem->code == error_code::internal || problem->code == error_code::deadline_exceeded;
  check_error(at.session, *problem);
}

// --- the database ----------------------------------------------------------------------------------------------------

std::size_t world::add_session(session_key key, lines shared) {
  sessions.emplace_back(std::move(key), std::move(shared));
  return sessions.size() - 1;
}

lines world::own_log(const reference_session& of) const {
  lines out;
  for (const auto& entry : service.database->log(of.key().id))
    out.push_back({entry.offset, entry.kind, entry.data, turn_id{test::uuid_of(entry.rest[test::of_turn])},
                   db::decode_timestamp(*entry.rest[test::created_at])});
  return out;
}

lines world::whole_log(const reference_session& of) const {
  auto out = of.shared();
  for (auto& entry : own_log(of))
    out.push_back(std::move(entry));
  return out;
}

bool world::has_row(const reference_session& of) const {
  return service.database->tables().sessions.contains(of.key().id.bytes);
}

stored_row world::row_of(const reference_session& of) const {
  stored_row out;
  const auto& stored = service.database->tables().sessions.at(of.key().id.bytes);
  out.turn_count = stored.turn_count;
  out.total_tokens = stored.total_tokens;
  out.status = stored.status.value_or("");
  for (const auto& [number, row] : stored.turns)
    out.turns.emplace(number, std::pair(turn_id{test::uuid_of(row.row[test::turn])}, row.status));
  return out;
}

// --- deaths ----------------------------------------------------------------------------------------------------------

void world::kill_session(std::size_t index) {
  auto& of = sessions[index];
  if (const auto actor = service.pool.woken(of.key().id)) {
    of.session_dies(own_log(of));
    caf::anon_send_exit(actor, caf::exit_reason::kill);
  }
}

void world::kill_writer() {
  if (!service.pool.leaseholder())
    return;
  for (auto& each : sessions)
    each.writer_dies(own_log(each));
  caf::anon_send_exit(caf::actor_cast<caf::actor>(service.pool.leaseholder()), caf::exit_reason::kill);
}

// --- listening -------------------------------------------------------------------------------------------------------

void world::subscribe(std::size_t index) {
  auto& to = listeners[index];
  const auto after = to.got.through;
  to.is_on = true;
  to.id = 0;
  const auto self = service.steps.system().spawn([this, index, after](
                                                     event_subscriber::pointer me) -> event_subscriber::behavior_type {
    const auto is_meant = [this, index, me] { return listeners[index].self == me; }; // else it has gone, and comes back
    return {[this, index, after, is_meant](const events_arrived& news) {
              if (is_meant())
                note([&] { hear(index, after, news); });
            },
            [](const delta_arrived&) {},
            [this, index, is_meant](const subscription_ended& told) {
              if (is_meant())
                note([&] { hear_end(index, told); });
            }};
  });
  to.self = caf::actor_cast<caf::actor>(self);
  const auto session = to.session;
  ask("subscribe", subscribe_events{sessions[session].key(), self, after, {}},
      [this, index, session, self = to.self](const result<subscribed>& answer) {
        auto& by = listeners[index];
        if (by.self != self)
          return;
        if (answer) {
          by.id = answer->subscription;
          return;
        }
        by.is_on = false;
        by.is_over = answer.failure().code == error_code::not_found;
        check_error(session, answer.failure());
      });
}

void world::unsubscribe(std::size_t index) {
  auto& to = listeners[index];
  if (!to.is_on)
    return;
  to.is_on = false;
  caf::anon_send_exit(to.self, caf::exit_reason::kill); // what is on its way to it is lost, and comes again
}

void world::take_up(std::size_t index) {
  const auto& to = listeners[index];
  if (to.is_on && to.id != 0)
    caf::anon_send(service.directory, events_taken{sessions[to.session].key(), to.id, to.got.through});
}

void world::hear(std::size_t index, event_offset after, const events_arrived& news) {
  auto& to = listeners[index];
  if (!to.is_on)
    return;
  const auto& of = sessions[to.session];
  must(news.session == of.key(), "events of another session arrived");
  const auto durable = of.first_own() + static_cast<event_offset>(service.database->log(of.key().id).size());
  for (const auto& entry : *news.events) {
    if (entry.offset <= after)
      continue; // not meant for it
    must(of.erase_asked || entry.offset < durable,
         "told of offset " + std::to_string(entry.offset) + " before it was durable");
    to.got.take({entry.offset, std::string(to_string(entry.kind)), entry.data, entry.turn, entry.created_at});
  }
  must(to.got.seen.empty() || news.through >= to.got.seen.back().offset, "told of more than it is said to be");
  must(news.through > to.got.through, "told of the same again, through " + std::to_string(news.through));
  to.got.through = news.through;
  to.id = news.subscription;
  if (!to.is_slow)
    take_up(index);
}

void world::hear_end(std::size_t index, const subscription_ended& told) {
  auto& to = listeners[index];
  if (!to.is_on)
    return;
  to.is_on = false;
  to.is_over = told.why.code == error_code::not_found;
  check_error(to.session, told.why);
  must(to.is_over || told.resume_after == to.got.through, "told to resume after " + std::to_string(told.resume_after) +
                                                              ", having got all through " +
                                                              std::to_string(to.got.through));
}

} // namespace colloquy::model
