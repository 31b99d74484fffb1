// Places in JSON, as RFC 6901 writes them.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// One part of a pointer: ~ is ~0, / is ~1.
std::string escape_pointer(std::string_view key);

/// Of a message that begins with the pointer of a place in `json`, as in "/a/0 must be ...": how long the pointer is.
/// Names may have blanks in them, so it is followed through the JSON; of a place that is not there the last part ends
/// at a blank. 0 if the message begins with no pointer.
std::size_t pointer_length(std::string_view message, std::string_view json);

} // namespace colloquy::gateway
