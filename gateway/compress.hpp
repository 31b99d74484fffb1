// Smaller replies for clients that take them.
#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace colloquy::gateway {

/// Whether Accept-Encoding takes gzip (and not with q=0).
bool takes_gzip(std::string_view accept_encoding) noexcept;

/// None if it cannot be done, or would not be smaller.
std::optional<std::string> gzip(std::string_view text);

} // namespace colloquy::gateway
