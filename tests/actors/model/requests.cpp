// What a random history asks of the service.
#include "tests/actors/model/history.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::model {
namespace {

using namespace std::chrono_literals;

std::vector<event_input> inputs_of(const texts& data, std::uint64_t kinds) {
  std::vector<event_input> inputs;
  for (const auto& text : data) {
    event_input input;
    input.data = text;
    input.kind = kinds % 4 == 0 ? event_kind::custom : event_kind::message;
    input.role = input.kind == event_kind::message ? message_role::user : message_role::none;
    kinds /= 4;
    inputs.push_back(std::move(input));
  }
  return inputs;
}

/// The same text is always the same event.
std::vector<event_input> inputs_of(const texts& data) {
  std::uint64_t kinds = 0;
  for (const char digit : data.empty() ? std::string() : data.front())
    kinds = kinds * 31 + static_cast<unsigned char>(digit);
  return inputs_of(data, kinds);
}

std::string shown(const texts& data) {
  std::string out;
  for (const auto& text : data)
    out += ' ' + text;
  return out;
}

std::optional<event_offset> no_place(const turn_record&) {
  return std::nullopt;
}

/// What was not durable in time stays accepted, and the answer says where.
std::optional<event_offset> accepted_at(const error& why) {
  const std::string words = "stay accepted at offset ";
  const auto at = why.message.find(words);
  if (why.code != error_code::deadline_exceeded || at == std::string::npos)
    return std::nullopt;
  return std::stoll(why.message.substr(at + words.size()));
}

} // namespace

// --- appending -------------------------------------------------------------------------------------------------------

void history::send_append(write_place at, durability wanted, std::optional<idempotency> repeat) {
  const auto& of = world_.write(at);
  append_events request;
  request.session = world_.sessions[at.session].key();
  request.events = inputs_of(of.data);
  request.wanted = wanted;
  if (!of.turn.is_nil())
    request.turn = of.turn;
  request.repeat = std::move(repeat);
  const auto name = "append" + shown(of.data) + " to " + std::to_string(at.session) +
                    (wanted == durability::durable ? ", durable" : "");
  say(name + (request.repeat ? ", key " + request.repeat->key : ""));
  world_.ask_write(
      name, std::move(request), at, [](const appended& given) { return std::optional(given.first_offset); },
      [this, at](const result<appended>& answer) {
        auto& written = world_.write(at);
        if (answer && answer->reached == durability::durable) {
          auto& session = world_.sessions[at.session];
          session.learn_stored(world_.own_log(session));
          must(written.is_stored || session.erase_asked, "answered as durable and not there: " + written.data.front());
        }
        if (answer)
          must(answer->count == written.data.size(), "answered with another count");
        else if (const auto place = accepted_at(answer.failure()))
          written.is_taken = written.places.insert(*place).second || written.is_taken;
      });
}

void history::append() {
  const auto session = any_session();
  const auto write = world_.sessions[session].new_write(new_texts(3), {}, true);
  send_append({session, write}, roll(2) ? durability::durable : durability::accepted, {});
}

void history::append_in_turn() {
  const auto session = any_session();
  auto& of = world_.sessions[session];
  if (of.turns.empty())
    return append();
  const auto& turn = roll(4) == 0 ? of.turns[any_of(of.turns)] : of.turns.back();
  const auto write = of.new_write(new_texts(2), turn.id, true);
  send_append({session, write}, roll(2) ? durability::durable : durability::accepted, {});
}

/// A new key, or one that was used before: mostly with the same request.
void history::append_under_key() {
  const auto session = any_session();
  auto& of = world_.sessions[session];
  std::vector<std::string> known;
  for (const auto& [key, writes] : of.keys)
    known.push_back(key);
  const bool is_new = known.empty() || roll(3) == 0;
  const auto key = is_new ? "k" + std::to_string(++last_key_) : known[any_of(known)];
  auto& writes = of.keys[key];
  if (writes.empty() || roll(6) == 0)
    writes.push_back(of.new_write(new_texts(2), {}, false));
  const auto write = roll(4) == 0 ? writes[any_of(writes)] : writes.back();
  send_append({session, write}, roll(2) ? durability::durable : durability::accepted,
              idempotency{key, "print of " + std::to_string(write)});
}

// --- turns -----------------------------------------------------------------------------------------------------------

void history::turn() {
  const auto session = any_session();
  auto& turns = world_.sessions[session].turns;
  if (turns.empty() || roll(3) == 0)
    return start(session);
  const auto which = roll(4) == 0 ? any_of(turns) : turns.size() - 1;
  switch (roll(7)) {
  case 0:
  case 1:
  case 2:
    return end(session, which);
  case 3:
  case 4:
    return renew(session, which);
  case 5:
    return post_part(session, which);
  default:
    return start_again(session, which);
  }
}

void history::start(std::size_t session) {
  auto& of = world_.sessions[session];
  const auto data = new_texts(2);
  asked_turn asked{turn_id::make()};
  asked.lease = std::chrono::seconds{1 + roll(5)};
  asked.start = of.new_write(data, asked.id, false);
  asked.tokens = 1 + roll(1000);
  start_turn request;
  request.session = of.key();
  request.id = asked.id;
  request.lease = asked.lease;
  request.wait = std::chrono::seconds{roll(4)};
  request.policy = static_cast<turn_policy>(roll(4));
  request.events = inputs_of(data);
  if (roll(3) == 0)
    request.repeat = idempotency{"t" + std::to_string(++last_key_), "print of " + asked.id.to_string()};
  asked.policy = request.policy;
  of.policies_asked.insert(request.policy);
  of.turns.push_back(asked);
  started_[session].push_back(request);
  send_start(session, of.turns.size() - 1, request);
}

/// Only under a key, else it would be another turn of the same id.
void history::start_again(std::size_t session, std::size_t turn) {
  const auto& request = started_[session][turn];
  if (request.repeat)
    send_start(session, turn, request);
  else
    start(session);
}

void history::send_start(std::size_t session, std::size_t turn, const start_turn& request) {
  const auto& asked = world_.sessions[session].turns[turn];
  const auto name = "start turn" + shown(world_.write({session, asked.start}).data) + " in " + std::to_string(session) +
                    ", " + std::string(to_string(request.policy)) + ", lease " + std::to_string(asked.lease.count()) +
                    ", wait " + std::to_string(request.wait.count());
  say(name + (request.repeat ? ", key " + request.repeat->key : ""));
  world_.ask_write(
      name, request, {session, asked.start}, [](const granted_turn&) { return std::optional<event_offset>{}; },
      [this, session, turn](const result<granted_turn>& answer) {
        auto& of = world_.sessions[session].turns[turn];
        if (!answer)
          return;
        of.is_granted = true;
        must(answer->turn.id == of.id, "granted another turn");
      });
}

void history::end(std::size_t session, std::size_t turn) {
  auto& of = world_.sessions[session];
  const std::vector<turn_status> ways{turn_status::completed, turn_status::completed, turn_status::failed,
                                      turn_status::cancelled};
  const auto how = ways[any_of(ways)];
  if (!of.turns[turn].ends.contains(how)) { // asked again, it is the same request
    const bool has_events = how == turn_status::completed && roll(2) == 0;
    of.turns[turn].ends[how] = of.new_write(has_events ? new_texts(2) : texts{}, of.turns[turn].id, has_events);
  }
  const auto& asked = of.turns[turn];
  const auto write = asked.ends.at(how);
  end_turn request;
  request.session = of.key();
  request.turn = asked.id;
  request.outcome = how;
  request.events = inputs_of(of.write(write).data);
  if (how != turn_status::cancelled)
    request.usage = token_usage{asked.tokens, 0};
  const auto name = "end turn of" + shown(of.write(asked.start).data) + " in " + std::to_string(session) + " as " +
                    std::string(to_string(how)) + shown(of.write(write).data);
  say(name);
  world_.ask_write(name, std::move(request), {session, write}, no_place,
                   [this, session, turn, how](const result<turn_record>& answer) {
                     auto& ended = world_.sessions[session].turns[turn];
                     if (!answer)
                       return;
                     must(answer->id == ended.id && answer->status == how, "a turn's end answers with another");
                     must(!ended.ended || *ended.ended == how || world_.write({session, ended.start}).may_be_lost() ||
                              world_.write({session, ended.ends.at(*ended.ended)}).may_be_lost(),
                          "one turn ended in two ways, say the answers");
                     if (answer->number == 0)
                       ended.left_queue = true;
                     else
                       ended.ended = how;
                   });
}

void history::renew(std::size_t session, std::size_t turn) {
  auto& of = world_.sessions[session];
  const auto lease = std::chrono::seconds{1 + roll(5)};
  const auto id = of.turns[turn].id;
  const auto number = of.turns[turn].renewals.size();
  of.turns[turn].renewals.push_back({world_.now() + lease});
  const auto name = "renew turn of" + shown(of.write(of.turns[turn].start).data) + " in " + std::to_string(session) +
                    " by " + std::to_string(lease.count());
  say(name);
  const auto deaths = of.deaths;
  world_.ask(name, renew_turn{of.key(), id, lease, {}},
             [this, session, turn, number, deaths](const result<turn_record>& answer) {
               auto& renewed = world_.sessions[session].turns[turn].renewals[number];
               if (!answer)
                 return world_.check_error(session, answer.failure());
               renewed.until = answer->lease_expires_at.value_or(timestamp{});
               renewed.is_certain = world_.sessions[session].deaths == deaths;
             });
}

void history::post_part(std::size_t session, std::size_t turn) {
  post_delta request;
  request.session = world_.sessions[session].key();
  request.turn = world_.sessions[session].turns[turn].id;
  request.text = "part";
  say("post a part in " + std::to_string(session));
  world_.ask("post a part", std::move(request), [this, session](const result<delta_passed>& answer) {
    if (!answer)
      world_.check_error(session, answer.failure());
  });
}

// --- its life --------------------------------------------------------------------------------------------------------

void history::send_status(std::size_t session, session_status wanted) {
  auto& of = world_.sessions[session];
  if (wanted != session_status::active)
    of.statuses_asked.insert(wanted);
  update_session request;
  request.session = of.key();
  request.status = wanted;
  const auto name = "make " + std::to_string(session) + ' ' + std::string(to_string(wanted));
  say(name);
  world_.ask(name, std::move(request), [this, session, wanted](const result<session_record>& answer) {
    if (!answer)
      return world_.check_error(session, answer.failure());
    must(answer->status == wanted, "a change of status answers with another");
  });
}

void history::change_status() {
  const auto session = any_session();
  const bool was_changed = !world_.sessions[session].statuses_asked.empty();
  const auto away = roll(2) ? session_status::paused : session_status::completed;
  send_status(session, was_changed && roll(3) > 0 ? session_status::active : away);
}

/// What is shared is durable by the time of the answer, and cannot change after.
void history::fork() {
  const auto session = any_session();
  auto& of = world_.sessions[session];
  const auto length = static_cast<int>(world_.whole_log(of).size());
  if (length == 0 || world_.sessions.size() >= 6)
    return append();
  fork_session request;
  request.session = of.key();
  request.at_offset = roll(4) == 0 ? length : roll(length); // also what is accepted only
  const auto name = "fork " + std::to_string(session) + " at " + std::to_string(request.at_offset);
  say(name);
  const auto at = request.at_offset;
  world_.ask(name, std::move(request), [this, session, at](const result<session_record>& answer) {
    const auto& from = world_.sessions[session];
    if (!answer && answer.failure().code == error_code::invalid_request)
      return; // there was no such offset
    if (!answer)
      return world_.check_error(session, answer.failure());
    auto shared = world_.whole_log(from);
    must(shared.size() > static_cast<std::size_t>(at), "forked what is not durable");
    shared.resize(static_cast<std::size_t>(at) + 1);
    for (const auto turn : reference_session::rolled_back(world_.own_log(from)))
      world_.hidden.insert(turn);
    must(answer->fork_offset == at && answer->next_offset == at + 1, "a fork that begins elsewhere");
    world_.add_session(answer->key, std::move(shared));
    started_.emplace_back();
  });
}

void history::erase() {
  const auto session = any_session();
  auto& of = world_.sessions[session];
  if (world_.sessions.size() < 3)
    return fork();
  of.erase_asked = true;
  const auto name = "erase " + std::to_string(session);
  say(name);
  world_.ask(name, erase_session{of.key(), {}}, [this, session](const result<erased>& answer) {
    if (answer)
      world_.sessions[session].erase_answered = true;
    else if (answer.failure().code != error_code::overloaded) // it is just being forked
      world_.check_error(session, answer.failure());
  });
}

// --- reading ---------------------------------------------------------------------------------------------------------

/// Somebody begins to listen, comes back, goes, or is slow for a while.
void history::listen() {
  auto& all = world_.listeners;
  if (all.size() < 3 && roll(2) == 0) {
    const auto session = any_session();
    const auto length = static_cast<int>(world_.whole_log(world_.sessions[session]).size());
    const auto after = static_cast<event_offset>(roll(length + 1)) - 1;
    say("listen to " + std::to_string(session) + " after " + std::to_string(after));
    all.push_back({session, {after, after}});
    return world_.subscribe(all.size() - 1);
  }
  if (all.empty())
    return append();
  const auto which = any_of(all);
  auto& one = all[which];
  if (one.is_over)
    return append();
  const auto name = "listener " + std::to_string(which);
  if (!one.is_on) {
    say(name + " comes back");
    return world_.subscribe(which);
  }
  if (roll(2) == 0) {
    say(name + " goes");
    return world_.unsubscribe(which);
  }
  one.is_slow = !one.is_slow;
  say(name + (one.is_slow ? " is slow" : " goes on"));
  if (!one.is_slow)
    world_.take_up(which);
}

void history::read() {
  const auto session = any_session();
  const auto& of = world_.sessions[session];
  read_events request;
  request.session = of.key();
  request.after = static_cast<event_offset>(roll(static_cast<int>(world_.whole_log(of).size()) + 1)) - 1;
  request.limit = static_cast<std::size_t>(1 + roll(20));
  request.wait = std::chrono::seconds{roll(3)};
  request.from_database = roll(2) == 0;
  const auto name = "read " + std::to_string(session) + " after " + std::to_string(request.after);
  say(name);
  const auto after = request.after;
  world_.ask(name, std::move(request), [this, session, after](const result<event_page>& answer) {
    if (!answer)
      return world_.check_error(session, answer.failure());
    reading got{after, after};
    for (const auto& entry : answer->events)
      got.take({entry.offset, std::string(to_string(entry.kind)), entry.data, entry.turn, entry.created_at});
    got.through = answer->read_through;
    readings_.emplace_back(session, std::move(got));
  });
}

} // namespace colloquy::model
