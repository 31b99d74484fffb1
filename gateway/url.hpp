// What stands in a request's target.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::gateway {

/// %41 is A. False if a % is not followed by two hexadecimal digits.
bool percent_decode(std::string_view text, std::string& into, bool plus_is_space = false);

/// name=value pairs with & between them, decoded. None if one cannot be decoded.
std::optional<std::vector<std::pair<std::string, std::string>>> parse_query(std::string_view query);

/// Everything but letters, digits and -._~ as %XX.
std::string percent_encode(std::string_view text);

} // namespace colloquy::gateway
