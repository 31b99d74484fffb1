// What the callers of one load share: the service's door, the sessions that there are, and the pipe to the checker.
#pragma once

#include "messages/directory_interface.hpp"
#include "tests/checker/lines.hpp"

#include <caf/actor_system.hpp>

#include <atomic>
#include <cstdint>
#include <mutex>
#include <optional>
#include <random>
#include <string>
#include <vector>

namespace colloquy::checker {

struct load_options {
  std::string conninfo;      ///< of the service's login; other users of the machine can see it: no password
  std::string name = "load"; ///< begins every tag, so that no two runs write the same message
  std::string known;         ///< a file of what earlier runs left (lines.hpp); "": none
  std::string journal;       ///< the journal's file; "": no journal
  std::uint64_t seed = 1;
  unsigned callers = 8;
  unsigned tenants = 4;
};

struct known_session {
  session_key key;
  event_offset answered = -1; ///< the last offset that this run was told of
};

std::string session_text(const session_key& key);
std::optional<session_key> parse_session(std::string_view text);

/// Thread-safe.
class load_world {
public:
  load_world(caf::actor_system& of, directory_actor door, const load_options& wanted)
    : system(of)
    , directory(std::move(door))
    , options(wanted) {}

  /// Writes the whole line or ends the program: nobody reads any more.
  void say(const line& said);

  void add(const session_key& session, event_offset answered = -1);
  void note(const session_key& session, event_offset answered);
  /// Mostly one of the newest, so that callers meet; none if there is no session yet.
  std::optional<known_session> pick(std::mt19937_64& random);

  caf::actor_system& system;
  const directory_actor directory;
  const load_options& options;
  std::atomic<bool> is_stopping{false}; ///< a refusal is the end from now on

private:
  std::mutex mutex_;
  std::vector<known_session> sessions_;
};

} // namespace colloquy::checker
