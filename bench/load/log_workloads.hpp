// What is done to logs: append, turn, history, wake.
#pragma once

#include "bench/load/conversation_set.hpp"
#include "bench/load/session_choice.hpp"

namespace colloquy::load {

/// How many messages of a history are read at once.
inline constexpr std::size_t messages_read = 20;

/// One message a session, answered when accepted or durable.
class append_workload : public load_workload {
public:
  append_workload(load_client& client, conversation_set& talk, session_choice choice, durability wanted)
    : client_(client)
    , talk_(talk)
    , choice_(std::move(choice))
    , wanted_(wanted) {}

  void prepare(prepared then) override { talk_.make(0, std::move(then)); }
  void perform(finished then) override;
  void verify(std::function<void(result<std::size_t>)> then) override { talk_.verify(std::move(then)); }

private:
  load_client& client_;
  conversation_set& talk_;
  session_choice choice_;
  durability wanted_;
};

/// Reads a session's last 20 messages, then appends two, answered when they are durable: what an agent's step takes of
/// its store.
class turn_workload : public load_workload {
public:
  turn_workload(load_client& client, conversation_set& talk, session_choice choice)
    : client_(client)
    , talk_(talk)
    , choice_(std::move(choice)) {}

  void prepare(prepared then) override { talk_.make(messages_read, std::move(then)); }
  void perform(finished then) override;
  void verify(std::function<void(result<std::size_t>)> then) override { talk_.verify(std::move(then)); }

private:
  load_client& client_;
  conversation_set& talk_;
  session_choice choice_;
};

/// Reads a session's last 20 messages.
class history_workload : public load_workload {
public:
  history_workload(load_client& client, conversation_set& talk, session_choice choice)
    : client_(client)
    , talk_(talk)
    , choice_(std::move(choice)) {}

  void prepare(prepared then) override { talk_.make(messages_read, std::move(then)); }
  void perform(finished then) override;
  void verify(std::function<void(result<std::size_t>)> then) override { talk_.verify(std::move(then)); }

private:
  load_client& client_;
  conversation_set& talk_;
  session_choice choice_;
};

/// Reads the last 20 messages of sessions that sleep, each once, in an order of chance: so it ends when all are awake.
class wake_workload : public load_workload {
public:
  wake_workload(load_client& client, conversation_set& talk, std::uint64_t seed);

  void prepare(prepared then) override;
  void perform(finished then) override;
  bool is_exhausted() const override { return next_ == order_.size(); }
  void verify(std::function<void(result<std::size_t>)> then) override { talk_.verify(std::move(then)); }

private:
  load_client& client_;
  conversation_set& talk_;
  std::vector<std::size_t> order_;
  std::size_t next_ = 0;
};

} // namespace colloquy::load
