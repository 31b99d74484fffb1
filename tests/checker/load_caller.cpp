#include "tests/checker/load_caller.hpp"

#include <algorithm>
#include <thread>
#include <utility>

namespace colloquy::checker {
namespace {

using namespace std::chrono_literals;

constexpr auto answer_timeout = 60s; // longer than any of the service's own
constexpr auto retry_pause = 20ms;
constexpr int tries_max = 200; // of an append with a key: for as long as a server needs to come back
constexpr const char* no_answer = "no answer: ";

std::vector<event_input> messages_of(const std::string& tag, std::size_t count) {
  std::vector<event_input> messages(count);
  for (std::size_t i = 0; i < count; ++i) {
    messages[i].role = i % 2 == 0 ? message_role::user : message_role::assistant;
    messages[i].data = message_text(tag, i);
  }
  return messages;
}

template <class Events>
std::string digests_of(const Events& events) {
  std::string text;
  for (const auto& each : events)
    text.append(text.empty() ? "" : ",").append(digest_of(each.data));
  return text;
}

bool may_pass(error_code code) {
  return code == error_code::overloaded || code == error_code::database_unavailable || code == error_code::not_owner ||
         code == error_code::deadline_exceeded;
}

} // namespace

load_caller::load_caller(load_world& world, unsigned number)
  : world_(world)
  , number_(number)
  , self_(world.system)
  , random_(world.options.seed * 1000 + number) {}

void load_caller::run() {
  while (!is_over_)
    step();
}

// --- asking and saying -----------------------------------------------------------------------------------------------

template <class Request>
result<typename Request::reply> load_caller::ask(Request request) {
  using reply = typename Request::reply;
  result<reply> outcome{error{}};
  self_->request(world_.directory, answer_timeout, std::move(request))
      .receive([&](result<reply>& answer) { outcome = std::move(answer); },
               [&](const caf::error& failed) {
                 outcome = error{error_code::internal, no_answer + world_.system.render(failed)};
               });
  return outcome;
}

void load_caller::say(line said, const session_key& session) {
  said.words["caller"] = std::to_string(number_);
  said.words["session"] = session_text(session);
  world_.say(said);
}

void load_caller::refused(const session_key& session, const char* op, const error& why) {
  auto text = why.message;
  std::replace(text.begin(), text.end(), ' ', '_');
  const auto code = why.message.starts_with(no_answer) ? "no_answer" : to_string(why.code);
  const bool stopping = world_.is_stopping;
  say({"refused", {{"op", op}, {"code", std::string(code)}, {"why", text}, {"stopping", stopping ? "yes" : "no"}}},
      session);
  if (stopping)
    is_over_ = true;
  else if (may_pass(why.code))
    std::this_thread::sleep_for(retry_pause);
}

void load_caller::fault(const session_key& session, std::string why) {
  std::replace(why.begin(), why.end(), ' ', '_');
  say({"fault", {{"why", why}}}, session);
}

std::string load_caller::new_tag() {
  return world_.options.name + "c" + std::to_string(number_) + "n" + std::to_string(++tags_);
}

// --- what it does ----------------------------------------------------------------------------------------------------

void load_caller::step() {
  const auto what = dice(100);
  const auto session = world_.pick(random_);
  if (!session || what < 3)
    return make();
  if (what < 5)
    return fork(*session);
  if (what < 35)
    return take_turn(session->key);
  if (what < 50)
    return append_with_key(session->key);
  if (auto done = append(session->key, dice(2) == 0 ? durability::durable : durability::accepted, std::nullopt); !done)
    refused(session->key, "append", done.failure());
}

void load_caller::make() {
  create_session request;
  request.tenant = tenant_id::parse("tenant" + std::to_string(dice(world_.options.tenants))).value();
  request.user_id = "user" + std::to_string(dice(10));
  const session_key nobody{request.tenant, {}};
  const auto made = ask(std::move(request));
  if (!made)
    return refused(nobody, "make", made.failure());
  say({"made"}, made->key);
  world_.add(made->key);
}

void load_caller::fork(const known_session& parent) {
  if (parent.answered < 0)
    return;
  fork_session request;
  request.session = parent.key;
  request.at_offset = static_cast<event_offset>(random_() % static_cast<std::uint64_t>(parent.answered + 1));
  const auto at = request.at_offset;
  const auto made = ask(std::move(request));
  if (!made)
    return refused(parent.key, "fork", made.failure());
  say({"forked", {{"parent", session_text(parent.key)}, {"offset", std::to_string(at)}}}, made->key);
  world_.add(made->key, at);
}

result<appended> load_caller::append(const session_key& session, durability wanted, std::optional<turn_id> turn) {
  append_events request;
  request.session = session;
  request.wanted = wanted;
  request.turn = turn;
  const auto tag = new_tag();
  request.events = messages_of(tag, 1 + dice(5));
  return append_once(std::move(request), tag, false);
}

result<appended> load_caller::append_once(append_events request, const std::string& tag, bool has_key) {
  const auto session = request.session;
  const auto turn = request.turn;
  const auto count = request.events.size();
  const auto digests = digests_of(request.events);
  auto done = ask(std::move(request));
  if (!done)
    return done;
  if (done->count != count)
    fault(session, tag + ": " + std::to_string(count) + " events given, " + std::to_string(done->count) + " answered");
  line said{"appended",
            {{"offset", std::to_string(done->first_offset)},
             {"durability", done->reached == durability::durable ? "durable" : "accepted"},
             {"tag", tag},
             {"count", std::to_string(count)},
             {"digests", digests}}};
  if (turn)
    said.words["turn"] = turn->to_string();
  if (has_key)
    said.words["key"] = "yes";
  say(std::move(said), session);
  world_.note(session, done->first_offset + static_cast<event_offset>(count) - 1);
  return done;
}

/// Until it is answered, as a client with a key would; and now and then once more.
void load_caller::append_with_key(const session_key& session) {
  append_events request;
  request.session = session;
  request.wanted = dice(2) == 0 ? durability::durable : durability::accepted;
  const auto tag = new_tag();
  request.events = messages_of(tag, 1 + dice(5));
  request.repeat = idempotency{tag, tag};
  say({"asking", {{"tag", tag}, {"count", std::to_string(request.events.size())}}}, session);
  int wanted = dice(5) == 0 ? 2 : 1;
  for (int tries = 0; wanted > 0 && tries < tries_max && !is_over_; ++tries) {
    const auto done = append_once(request, tag, true);
    if (done) {
      --wanted;
      continue;
    }
    refused(session, "append_with_key", done.failure());
    if (!may_pass(done.failure().code))
      return;
  }
}

void load_caller::repeat(const line& known) {
  const auto session = parse_session(known["session"]);
  if (!session)
    return;
  append_events request;
  request.session = *session;
  request.wanted = durability::durable;
  request.events = messages_of(known["tag"], static_cast<std::size_t>(known.number("count")));
  request.repeat = idempotency{known["tag"], known["tag"]};
  if (const auto done = append_once(std::move(request), known["tag"], true); !done)
    refused(*session, "repeat", done.failure());
}

// --- turns -----------------------------------------------------------------------------------------------------------

void load_caller::take_turn(const session_key& session) {
  start_turn request;
  request.session = session;
  request.wait = 1s;
  const auto how = dice(20);
  request.policy = how == 0   ? turn_policy::interrupt
                   : how == 1 ? turn_policy::rollback
                   : how == 2 ? turn_policy::reject
                              : turn_policy::enqueue;
  const bool is_left = dice(20) == 0;
  if (is_left && dice(2) == 0)
    request.lease = 1s;
  request.events = messages_of(new_tag(), dice(2));
  const auto given = request.events;
  const auto granted = ask(std::move(request));
  if (!granted)
    return refused(session, "start_turn", granted.failure());
  const auto turn = granted->turn.id;
  std::vector<event> own;
  std::copy_if(granted->history.messages.begin(), granted->history.messages.end(), std::back_inserter(own),
               [&](const event& each) { return each.turn == turn; });
  if (digests_of(own) != digests_of(given))
    fault(session, "turn " + turn.to_string() + " began without its messages in its history");
  say({"started",
       {{"turn", turn.to_string()},
        {"offset", std::to_string(own.empty() ? -1 : own.front().offset)},
        {"digests", digests_of(own)}}},
      session);
  if (!work_in_turn(session, turn) || is_left)
    return;
  const auto outcome = dice(10);
  if (end(session, turn,
          outcome == 0  ? turn_status::cancelled
          : outcome < 3 ? turn_status::failed
                        : turn_status::completed) &&
      dice(2) == 0)
    if (const auto done = append(session, durability::durable, std::nullopt); !done) // so its end is durable, too
      refused(session, "append", done.failure());
}

/// False if it is not the caller's any more.
bool load_caller::work_in_turn(const session_key& session, turn_id turn) {
  for (auto rest = dice(4); rest > 0; --rest)
    if (const auto done = append(session, dice(3) == 0 ? durability::durable : durability::accepted, turn); !done) {
      refused(session, "append_in_turn", done.failure());
      return false;
    }
  if (dice(3) != 0)
    return true;
  const auto renewed = ask(renew_turn{session, turn});
  if (!renewed)
    refused(session, "renew", renewed.failure());
  return renewed.has_value();
}

result<void> load_caller::end(const session_key& session, turn_id turn, turn_status outcome) {
  end_turn request;
  request.session = session;
  request.turn = turn;
  request.outcome = outcome;
  token_usage usage;
  if (outcome != turn_status::cancelled) {
    usage = {dice(1000), dice(1000)};
    request.usage = usage;
  }
  if (outcome == turn_status::completed)
    request.events = messages_of(new_tag(), dice(3));
  const auto digests = digests_of(request.events);
  const auto ended = ask(std::move(request));
  if (!ended) {
    refused(session, "end_turn", ended.failure());
    return ended.failure();
  }
  say({"ended",
       {{"turn", turn.to_string()},
        {"status", std::string(to_string(ended->status))},
        {"input", std::to_string(usage.input_tokens)},
        {"output", std::to_string(usage.output_tokens)},
        {"digests", digests}}},
      session);
  return {};
}

void load_caller::adopt(const line& known) {
  const auto session = parse_session(known["session"]);
  const auto turn = turn_id::parse(known["turn"]);
  if (!session || !turn)
    return;
  const auto ended = end(*session, *turn, turn_status::completed);
  if (!ended && ended.failure().code != error_code::turn_lost)
    return; // nobody knows
  if (ended.has_value() != (known["expect"] == "kept"))
    fault(*session, "turn " + known["turn"] + " should be " + known["expect"] + " and is not");
}

} // namespace colloquy::checker
