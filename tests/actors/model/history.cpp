#include "tests/actors/model/history.hpp"

#include <algorithm>

namespace colloquy::model {

using namespace std::chrono_literals;
using test::fault;

namespace {

constexpr int actions_min = 20;
constexpr int actions_max = 60;

} // namespace

history::history(std::uint64_t seed)
  : random_(seed) {
  started_.resize(2);
  for (int i = 0; i < 2; ++i)
    world_.add_session(world_.service.make_session(i == 0 ? "acme" : "other"), {});
  if (roll(2) == 0)
    world_.service.steps.advance(3s, 1s); // they begin asleep
  world_.service.pool.answers_at_once = roll(4) == 0;
}

void happenings::add(const happenings& other) {
  actions += other.actions;
  asked += other.asked;
  turns += other.turns;
  forks += other.forks;
  erasures += other.erasures;
  wakes += other.wakes;
  claims += other.claims;
}

std::string happenings::text() const {
  return std::to_string(actions) + " actions, " + std::to_string(asked) + " requests, " + std::to_string(turns) +
         " turns granted, " + std::to_string(forks) + " forks, " + std::to_string(erasures) + " erasures, " +
         std::to_string(wakes) + " wakes, " + std::to_string(claims) + " claims of the writer";
}

happenings history::happened() const {
  happenings all;
  all.actions = actions_.size();
  all.asked = world_.asked();
  for (const auto& each : world_.sessions) {
    all.turns += static_cast<std::size_t>(
        std::count_if(each.turns.begin(), each.turns.end(), [](const asked_turn& turn) { return turn.is_granted; }));
    all.forks += each.shared().empty() ? 0 : 1;
    all.erasures += each.erase_answered ? 1 : 0;
  }
  all.wakes = world_.service.database->count_of("read_session");
  all.claims = world_.service.database->count_of("claim_writer");
  return all;
}

texts history::new_texts(int most) {
  texts made;
  for (int i = roll(most); i >= 0; --i)
    made.push_back("m" + std::to_string(++last_text_));
  return made;
}

void history::run() {
  const int count = actions_min + roll(actions_max - actions_min + 1);
  for (int i = 0; i < count; ++i) {
    act();
    let_run();
    world_.look();
  }
  heal();
  wake_all();
  append_last();
  catch_up();
  check_all();
}

void history::act() {
  static const std::vector<weighted> choices{
      {22, &history::append},       {10, &history::append_in_turn}, {10, &history::append_under_key},
      {20, &history::turn},         {3, &history::change_status},   {4, &history::fork},
      {1, &history::erase},         {8, &history::listen},          {4, &history::read},
      {14, &history::answer_batch}, {9, &history::lose_answer},     {6, &history::answer_read},
      {3, &history::hold},          {3, &history::lose_backend},    {4, &history::go_away},
      {3, &history::fail_once},     {8, &history::pass_time},       {6, &history::kill_session},
      {5, &history::kill_writer}};
  static const int all = [] {
    int sum = 0;
    for (const auto& [weight, what] : choices)
      sum += weight;
    return sum;
  }();
  int at = roll(all);
  for (const auto& [weight, what] : choices)
    if ((at -= weight) < 0)
      return (this->*what)();
}

/// To the end mostly; else what comes next comes into the middle of it.
void history::let_run() {
  const int how = roll(6);
  if (how >= 2)
    return world_.service.steps.run();
  for (int left = how == 0 ? 0 : roll(12); left > 0 && world_.service.steps.step(); --left) {
  }
}

// --- what befalls the service ----------------------------------------------------------------------------------------

void history::answer_batch() {
  say("answer a batch");
  world_.service.pool.answer_next();
}

void history::lose_answer() {
  const bool is_done = roll(2) == 0;
  say(is_done ? "lose an answer after commit" : "lose an answer before commit");
  world_.service.pool.answer_next(is_done ? fault::lost_after : fault::lost_before);
}

void history::answer_read() {
  auto& pool = world_.service.pool;
  if (pool.reads_held() == 0)
    return answer_batch();
  const auto which = static_cast<std::size_t>(roll(static_cast<int>(pool.reads_held())));
  const bool is_lost = roll(5) == 0;
  say(is_lost ? "lose a read" : "answer a read");
  pool.answer_read(which, is_lost ? fault::lost_before : fault::none);
}

void history::hold() {
  auto& pool = world_.service.pool;
  auto& which = roll(2) == 0 ? pool.answers_at_once : pool.reads_at_once;
  which = !which;
  say(std::string(&which == &pool.answers_at_once ? "batches" : "reads") + (which ? " at once" : " held"));
}

void history::lose_backend() {
  const bool is_told = roll(2) == 0;
  say(is_told ? "lose the backend" : "lose the backend, told later");
  world_.service.pool.lose_backend(is_told);
}

void history::go_away() {
  world_.service.pool.is_away = roll(2) == 0;
  say(world_.service.pool.is_away ? "the database is away" : "the database is there");
}

void history::fail_once() {
  say("the next unit fails");
  world_.service.database->failures.push_back({db::failure_kind::retry, "40001", "serialization"});
}

void history::pass_time() {
  const auto time = roll(5) == 0 ? 4000ms : roll(2) == 0 ? 2000ms : 250ms; // past deadlines, past idling, a bit
  say("time passes: " + std::to_string(time.count()) + " ms");
  world_.service.steps.advance(time, 250ms);
}

void history::kill_session() {
  const auto session = any_session();
  say("kill session " + std::to_string(session));
  world_.kill_session(session);
}

void history::kill_writer() {
  say("kill the writer");
  world_.kill_writer();
}

} // namespace colloquy::model
