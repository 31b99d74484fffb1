// The transcript actor: reads files, which may block, so it runs on a thread of its own (spawn it detached).
//
// Accepts
//   next_conversation -> conversation_read  the next good or bad line, or the end; after the end, the end again.
// State it owns: the open file, and one line.
// Death: with whoever spawned it; it is linked to.
#pragma once

#include "cli/transcript.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/replies_to.hpp>
#include <caf/typed_actor.hpp>
#include <caf/typed_event_based_actor.hpp>

#include <filesystem>
#include <vector>

namespace colloquy::cli {

struct next_conversation {};
struct conversation_read {
  transcript_reader::item item;
};

} // namespace colloquy::cli

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::next_conversation)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cli::conversation_read)

namespace colloquy::cli {

using transcript_actor = caf::typed_actor<caf::replies_to<next_conversation>::with<conversation_read>>;

class transcript_source : public transcript_actor::base {
public:
  transcript_source(caf::actor_config& config, std::vector<std::filesystem::path> files)
    : transcript_actor::base(config)
    , reader_(std::move(files)) {}

  behavior_type make_behavior() override {
    return {[this](next_conversation) { return conversation_read{reader_.next()}; }};
  }

private:
  transcript_reader reader_;
};

} // namespace colloquy::cli
