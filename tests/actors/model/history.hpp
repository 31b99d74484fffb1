// One random history: what is asked, and what befalls the service meanwhile; then everything is healed and looked at.
#pragma once

#include "tests/actors/model/world.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <random>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::model {

/// What really happened in histories.
struct happenings {
  std::size_t actions = 0;
  std::size_t asked = 0;
  std::size_t turns = 0;
  std::size_t forks = 0;
  std::size_t erasures = 0;
  std::size_t wakes = 0;
  std::size_t claims = 0; ///< of the writer's row: one more than it died or lost its connection

  void add(const happenings& other);
  std::string text() const;
};

class history {
public:
  explicit history(std::uint64_t seed);
  ~history() { world_.close(); }
  history(const history&) = delete;
  history& operator=(const history&) = delete;

  /// All of it. Throws violation.
  void run();
  /// What was done, one line an action.
  const std::vector<std::string>& actions() const { return actions_; }
  happenings happened() const;

private:
  using weighted = std::pair<int, void (history::*)()>;

  // history.cpp: chance, and what befalls the service
  int roll(int sides) { return std::uniform_int_distribution<int>(0, sides - 1)(random_); }
  template <class Container>
  std::size_t any_of(const Container& all) {
    return static_cast<std::size_t>(roll(static_cast<int>(all.size())));
  }
  std::size_t any_session() { return any_of(world_.sessions); }
  void say(const std::string& action) { actions_.push_back(action); }
  texts new_texts(int most);
  void act();
  void let_run();
  void answer_batch();
  void lose_answer();
  void answer_read();
  void hold();
  void lose_backend();
  void go_away();
  void fail_once();
  void pass_time();
  void kill_session();
  void kill_writer();

  // requests.cpp: what is asked
  void append();
  void append_in_turn();
  void append_under_key();
  void turn();
  void start(std::size_t session);
  void start_again(std::size_t session, std::size_t turn);
  void end(std::size_t session, std::size_t turn);
  void renew(std::size_t session, std::size_t turn);
  void post_part(std::size_t session, std::size_t turn);
  void send_append(write_place at, durability wanted, std::optional<idempotency> repeat);
  void send_start(std::size_t session, std::size_t turn, const start_turn& request);
  void change_status();
  void send_status(std::size_t session, session_status wanted);
  void fork();
  void erase();
  void listen();
  void read();

  // healing.cpp: how it ends
  template <class Request>
  result<typename Request::reply> ask_now(const std::string& what, Request request);
  void run_until(const std::function<bool()>& holds, int quarters_max);
  bool is_gone(std::size_t session) const;
  void heal();
  void wake_all();
  void catch_up();
  void append_last();
  void check_all();
  void check_session(std::size_t session);
  void check_pages(std::size_t session, const lines& all, bool from_database);
  void check_messages(std::size_t session, const lines& all);
  void check_gone(std::size_t session);

  std::mt19937_64 random_;
  world world_;
  std::vector<std::string> actions_;
  std::deque<std::vector<start_turn>> started_;          // by session and turn, to be repeated
  std::deque<std::pair<std::size_t, reading>> readings_; // of a session
  int last_text_ = 0;
  int last_key_ = 0;
};

} // namespace colloquy::model
