// What the two halves of a replay, appending and verifying, share.
#pragma once

#include "cli/replay_progress.hpp"
#include "cli/transcript.hpp"
#include "messages/byte_budget.hpp"
#include "messages/directory_interface.hpp"
#include "messages/ids.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::cli {

/// When an answer to retry names no time.
inline constexpr std::chrono::milliseconds retry_after_default{20};

/// How often it is looked whether anything still moves.
inline constexpr std::chrono::milliseconds watch_interval{100};

struct replay_plan {
  tenant_id tenant;
  std::vector<std::filesystem::path> files;
  std::size_t copies = 1;
  std::size_t concurrency = 256;
  std::chrono::milliseconds request_timeout{30'000};
  std::chrono::milliseconds no_progress_max{60'000}; ///< with nothing done for so long it gives up
  std::chrono::milliseconds shutdown_timeout{5'000}; ///< for what is accepted to become durable, once told to stop
  std::shared_ptr<replay_progress> progress = std::make_shared<replay_progress>();

  /// "FILE line N", or the file alone.
  std::string place(std::size_t file, std::uint64_t line) const {
    return files[file].string() + (line > 0 ? " line " + std::to_string(line) : "");
  }
  std::string place(const conversation& text, std::size_t copy) const {
    return place(text.file, text.line) + (copies > 1 ? " (copy " + std::to_string(copy + 1) + ")" : "");
  }
};

struct line_place {
  std::size_t file = 0;
  std::uint64_t line = 0;
  bool operator==(const line_place&) const = default;
};

/// What appending came to, and all that is remembered of it: the text itself is read again to be verified.
struct append_outcome {
  std::vector<line_place> lines;    ///< the good ones, in order
  std::vector<session_id> sessions; ///< of line i and copy k at i * copies + k; nil if it was not replayed whole
  std::size_t conversations = 0;    ///< replayed whole
  std::size_t failed = 0;           ///< not whole, for another reason than an interruption
  std::size_t messages = 0;         ///< accepted, of all conversations
  std::size_t turns = 0;            ///< ended
  std::size_t bad_lines = 0;
  bool durable = false; ///< all that was accepted
  bool interrupted = false;
  std::chrono::duration<double> time{}; ///< from the first append to the last commit
  std::optional<error> given_up{};      ///< why it ended early
};
using append_outcome_ptr = std::shared_ptr<const append_outcome>;

struct check_outcome {
  std::size_t events = 0;
  std::size_t messages = 0; ///< that PostgreSQL has
  std::size_t verified = 0;
  std::size_t mismatched = 0;
  bool interrupted = false;
  std::optional<error> given_up{};
};

/// Stops early; the outcome comes all the same. For either half.
struct stop_replay {};

} // namespace colloquy::cli

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::append_outcome_ptr)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::check_outcome)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::stop_replay)
