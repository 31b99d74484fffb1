// Base64 as tokens and keys write it (RFC 4648, section 5): '-' and '_', no padding.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// The bytes; nothing unless the text is exactly what encoding those bytes gives: no other character, no padding, no
/// bit set behind the last byte. So two texts never mean the same bytes.
std::optional<std::string> base64url_decode(std::string_view text);

} // namespace colloquy::gateway
