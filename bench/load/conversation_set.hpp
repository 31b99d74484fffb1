// The sessions of a measurement and what was said in them: a message has its number within its session in its text, and
// which offset each number got is remembered, so that every event can be read back and compared.
#pragma once

#include "bench/load/load_workload.hpp"
#include "bench/workload.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

namespace colloquy::load {

class conversation_set {
public:
  conversation_set(load_client& client, std::size_t sessions, std::size_t tenants, std::size_t message_bytes);

  std::size_t size() const noexcept { return wanted_; }
  const std::vector<session_record>& sessions() const noexcept { return sessions_; }
  const session_key& key(std::size_t session) const { return sessions_[session].key; }

  /// Makes the sessions, then says so many messages in each, at most limits::events_per_append_max. Once made, they
  /// stay.
  void make(std::size_t messages_each, prepared then);

  /// The next messages of a session.
  append_events next_append(std::size_t session, std::size_t messages, durability wanted);
  /// What a session answered to next_append(): `first_number` is that of the first message.
  std::uint64_t last_number(std::size_t session) const { return said_[session].numbers; }
  void note(std::size_t session, std::uint64_t first_number, const appended& given);

  /// Reads back every log from the database: the messages that were answered are there, at their offsets, as they were
  /// said, once, and nothing else is. Gives how many.
  void verify(std::function<void(result<std::size_t>)> then);

private:
  struct log {
    std::uint64_t numbers = 0;              ///< given out
    std::vector<std::uint32_t> by_offset{}; ///< number + 1 of the message there; 0: none that was answered
  };
  struct walk; ///< through all sessions, some at a time

  void make_next(const std::shared_ptr<walk>& through);
  void say_first(const std::shared_ptr<walk>& through, std::size_t session);
  void read_next(const std::shared_ptr<walk>& through);
  void read_on(const std::shared_ptr<walk>& through, std::size_t session, event_offset after);
  std::optional<error> compare(std::size_t session, event_offset after, const event_page& page) const;

  load_client& client_;
  const std::size_t wanted_;
  const std::size_t tenants_;
  bench::workload texts_;
  std::vector<session_record> sessions_;
  std::vector<log> said_;
  bool is_made_ = false;
};

} // namespace colloquy::load
