#include "tests/checker/load_world.hpp"

#include <algorithm>
#include <cerrno>
#include <unistd.h>

namespace colloquy::checker {
namespace {

constexpr std::size_t newest_sessions = 24;

} // namespace

std::string session_text(const session_key& key) {
  return key.tenant.text() + "/" + key.id.to_string();
}

std::optional<session_key> parse_session(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == std::string_view::npos)
    return std::nullopt;
  const auto tenant = tenant_id::parse(text.substr(0, slash));
  const auto id = session_id::parse(text.substr(slash + 1));
  if (!tenant || !id)
    return std::nullopt;
  return session_key{*tenant, *id};
}

/// One write of less than PIPE_BUF bytes: it is in the pipe as a whole or not at all, however we die.
void load_world::say(const line& said) {
  const auto text = to_text(said) + "\n";
  ssize_t written = 0;
  do
    written = ::write(STDOUT_FILENO, text.data(), text.size());
  while (written < 0 && errno == EINTR);
  if (written != static_cast<ssize_t>(text.size()))
    ::_exit(1);
}

void load_world::add(const session_key& session, event_offset answered) {
  const std::lock_guard lock(mutex_);
  sessions_.push_back({session, answered});
}

void load_world::note(const session_key& session, event_offset answered) {
  const std::lock_guard lock(mutex_);
  const auto at = std::find_if(sessions_.rbegin(), sessions_.rend(), [&](const auto& s) { return s.key == session; });
  if (at != sessions_.rend())
    at->answered = std::max(at->answered, answered);
}

std::optional<known_session> load_world::pick(std::mt19937_64& random) {
  const std::lock_guard lock(mutex_);
  if (sessions_.empty())
    return std::nullopt;
  const auto of = random() % 5 == 0 ? sessions_.size() : std::min(sessions_.size(), newest_sessions);
  return sessions_[sessions_.size() - 1 - random() % of];
}

} // namespace colloquy::checker
