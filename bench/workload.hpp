// What is appended: made once from the session's place and the offset, so that COPY and the service write the very same
// rows and the log can be checked afterwards.
#pragma once

#include "messages/event.hpp"
#include "messages/session.hpp"

#include <cstddef>
#include <string>
#include <vector>

namespace colloquy::bench {

/// Messages of one measurement, in order of arrival: the sessions in turn, each one's next offset.
class slice {
public:
  struct place {
    std::size_t session = 0;
    event_offset offset = 0;
  };

  slice(std::vector<event_offset> first, std::size_t messages)
    : first_(std::move(first))
    , messages_(messages) {}

  std::size_t messages() const noexcept { return messages_; }
  std::size_t sessions() const noexcept { return first_.size(); }
  /// Of the i-th message.
  place at(std::size_t i) const noexcept {
    const auto session = i % first_.size();
    return {session, first_[session] + static_cast<event_offset>(i / first_.size())};
  }
  event_offset first(std::size_t session) const noexcept { return first_[session]; }
  std::size_t count(std::size_t session) const noexcept {
    return messages_ / first_.size() + (session < messages_ % first_.size() ? 1 : 0);
  }

private:
  std::vector<event_offset> first_;
  std::size_t messages_;
};

/// Immutable after it was made, so any thread may read it.
class workload {
public:
  workload(std::vector<session_record> sessions, std::size_t message_bytes);

  const std::vector<session_record>& sessions() const noexcept { return sessions_; }
  std::size_t message_bytes() const noexcept { return message_bytes_; }
  /// Its data has exactly message_bytes bytes and differs between any two places.
  event_input message(slice::place at) const;
  /// The slice as rows of COPY's text format, columns tenant_id, log_id, offset, created_at, kind, role, data.
  std::string copy_rows(const slice& part) const;

private:
  std::vector<session_record> sessions_;
  std::size_t message_bytes_;
  std::string filler_; ///< text that does not compress to nothing, should the messages be large
};

} // namespace colloquy::bench
