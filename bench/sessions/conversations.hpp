// Conversations as a client has them: a session with metadata, then one turn in which all is said, under an idempotency
// key. What is said follows from the conversation's number, so that every answer can be checked.
#pragma once

#include "bench/sessions/sessions_service.hpp"
#include "bench/workload.hpp"

#include <cstddef>
#include <memory>
#include <string>
#include <vector>

namespace colloquy::bench {

/// Immutable, so any thread may read it.
class conversations {
public:
  /// At least three messages each; metadata of exactly so many bytes.
  conversations(std::size_t tenants, std::size_t messages, std::size_t message_bytes, std::size_t metadata_bytes);

  std::size_t messages() const noexcept { return messages_; }
  /// Of one log: the messages and what a turn's start and end add.
  std::size_t events() const noexcept { return messages_ + 2; }
  const tenant_id& tenant(std::size_t conversation) const { return tenants_[conversation % tenants_.size()]; }

  create_session creation(std::size_t conversation) const;
  /// With the first message and the key.
  start_turn beginning(std::size_t conversation, const session_key& session) const;
  /// All messages but the first and the last.
  append_events middle(std::size_t conversation, const session_key& session, turn_id turn) const;
  /// With the last message.
  end_turn ending(std::size_t conversation, const session_key& session, turn_id turn) const;

  /// Throws bench_failure unless the session is as it was left.
  void check_record(std::size_t conversation, const session_record& found) const;
  /// Throws unless these are the conversation's last messages, newest first, as many as `count` or all.
  void check_last_messages(std::size_t conversation, std::size_t count, const history_page& found) const;

private:
  std::string metadata(std::size_t conversation) const;

  std::vector<tenant_id> tenants_;
  std::size_t messages_;
  std::size_t metadata_bytes_;
  workload work_;
};

/// Has conversations 0 to count - 1, so many of them at once; returns their sessions when all is durable.
std::vector<session_id> have_conversations(sessions_service& service, std::shared_ptr<const conversations> talk,
                                           std::size_t count, std::size_t at_once);

} // namespace colloquy::bench
