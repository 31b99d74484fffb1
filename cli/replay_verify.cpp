#include "cli/replay_verify.hpp"

#include <algorithm>
#include <span>
#include <utility>

namespace colloquy::cli {
namespace {

/// Of one conversation; the count goes on.
constexpr std::size_t complaints_max = 3;

/// How far a log may be off its conversation and still be followed.
constexpr std::size_t ahead_max = 16;

bool is_same(const event_input& expected, const event_input& read) {
  return expected.role == read.role && expected.data == read.data;
}

std::string difference(const event_input& expected, const event_input& read) {
  if (expected.role != read.role)
    return "its role is '" + std::string(to_string(read.role)) + "', not '" + std::string(to_string(expected.role)) +
           "'";
  const auto [at, end] = std::mismatch(expected.data.begin(), expected.data.end(), read.data.begin(), read.data.end());
  return "its content differs from byte " + std::to_string(at - expected.data.begin()) + " on (" +
         std::to_string(read.data.size()) + " bytes, not " + std::to_string(expected.data.size()) + ")";
}

} // namespace

void log_comparison::complain(std::string what) {
  ++found_.mismatched;
  if (found_.complaints.size() < complaints_max)
    found_.complaints.push_back(std::move(what));
}

void log_comparison::take(const event& read) {
  ++found_.events;
  if (read.offset != next_offset_)
    complain("offset " + std::to_string(read.offset) + " is where " + std::to_string(next_offset_) + " belongs");
  next_offset_ = read.offset + 1;
  if (read.kind == event_kind::message)
    take_message(read);
}

void log_comparison::take_message(const event& read) {
  // One that is missing or too many must not make all that follow it differ: look ahead for the one that was read.
  const auto rest = std::span(expected_->messages).subspan(next_message_);
  const auto window = rest.first(std::min(ahead_max + std::min(strangers_.size(), ahead_max), rest.size()));
  const auto found =
      std::find_if(window.begin(), window.end(), [&](const event_input& expected) { return is_same(expected, read); });
  if (found == window.end()) {
    const event_input& input = read;
    strangers_.push_back({read.offset, strangers_.size() < complaints_max ? input : event_input{}});
    return;
  }
  settle(next_message_ + static_cast<std::size_t>(found - window.begin()));
  ++next_message_;
  ++found_.verified;
}

void log_comparison::settle(std::size_t expected_end) {
  std::size_t used = 0;
  for (; next_message_ < expected_end; ++next_message_) {
    const auto name = "message " + std::to_string(next_message_ + 1);
    if (used == strangers_.size()) {
      complain(name + " is missing");
      continue;
    }
    const auto& [offset, input] = strangers_[used++];
    complain(name + " (offset " + std::to_string(offset) +
             "): " + difference(expected_->messages[next_message_], input));
  }
  for (; used < strangers_.size(); ++used)
    complain("a message too many (offset " + std::to_string(strangers_[used].offset) + ")");
  strangers_.clear();
}

comparison log_comparison::finish(std::int64_t turns) {
  settle(expected_->messages.size());
  if (turns != static_cast<std::int64_t>(expected_->turns))
    complain("the session counts " + std::to_string(turns) + " turns, not " + std::to_string(expected_->turns));
  return std::move(found_);
}

} // namespace colloquy::cli
