#include "bench/workload.hpp"

#include "messages/clock.hpp"

#include <random>

namespace colloquy::bench {
namespace {

constexpr std::size_t row_overhead_bytes = 140; // the other columns as text

message_role role_of(event_offset offset) {
  return offset % 2 == 0 ? message_role::user : message_role::assistant;
}

std::string make_filler(std::size_t bytes) {
  std::mt19937 random(1); // the same text in every run
  std::string text;
  while (text.size() < bytes) {
    for (auto letters = 2 + random() % 8; letters > 0; --letters)
      text.push_back(static_cast<char>('a' + random() % 26));
    text.push_back(' ');
  }
  return text;
}

} // namespace

workload::workload(std::vector<session_record> sessions, std::size_t message_bytes)
  : sessions_(std::move(sessions))
  , message_bytes_(message_bytes)
  , filler_(make_filler(2 * message_bytes + 4096)) {}

event_input workload::message(slice::place at) const {
  event_input input;
  input.role = role_of(at.offset);
  auto& data = input.data;
  data.reserve(message_bytes_);
  data.append(R"({"role":")").append(to_string(input.role)).append(R"(","content":"session )");
  data.append(std::to_string(at.session)).append(" message ").append(std::to_string(at.offset)).push_back(' ');
  const auto left = message_bytes_ - data.size() - 2;
  data.append(filler_, (at.session * 31 + static_cast<std::size_t>(at.offset) * 7) % (filler_.size() - left), left);
  data.append("\"}");
  return input;
}

std::string workload::copy_rows(const slice& part) const {
  const auto now = to_rfc3339(system_time());
  std::string rows;
  rows.reserve(part.messages() * (message_bytes_ + row_overhead_bytes));
  for (std::size_t i = 0; i < part.messages(); ++i) {
    const auto at = part.at(i);
    const auto& session = sessions_[at.session];
    const auto input = message(at);
    rows.append(session.key.tenant.text()).push_back('\t');
    rows.append(session.log.to_string()).push_back('\t');
    rows.append(std::to_string(at.offset)).push_back('\t');
    rows.append(now).push_back('\t');
    rows.append(to_string(input.kind)).push_back('\t');
    rows.append(to_string(input.role)).push_back('\t');
    rows.append(std::to_string(at.offset + 1)).push_back('\t'); // every event is a message
    rows.append(input.data).push_back('\n');                    // nothing in it that COPY would have escaped
  }
  return rows;
}

} // namespace colloquy::bench
