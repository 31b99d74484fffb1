// What an idle session knows, as small as it goes. In memory only: never stored, never sent, trusted.
#pragma once

#include "actors/session_state.hpp"

#include <string>

namespace colloquy::actors {

/// All of it but the session's key, which its actor has anyway. Hashes of many keys are left out: they are read again.
std::string pack(const session_knowledge& known);
session_knowledge unpack(const session_key& key, const std::string& packed);

} // namespace colloquy::actors
