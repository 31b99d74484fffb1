// What stands in a request's target.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::gateway {

/// %41 is A. None if a % is not followed by two hexadecimal digits.
std::optional<std::string> percent_decode(std::string_view text, bool plus_is_space = false);

/// name=value pairs with & between them, decoded. None if one cannot be decoded.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

/// Everything but letters, digits and -._~ as %XX.
std::string percent_encode(std::string_view text);

} // namespace colloquy::gateway
