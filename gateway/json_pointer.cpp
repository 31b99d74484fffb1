#include "gateway/json_pointer.hpp"

#include "messages/content.hpp"
#include "messages/json_pointer.hpp"

#include <algorithm>
#include <optional>

namespace colloquy::gateway {
namespace {

/// A member or element that `rest` goes on to.
struct step {
  std::size_t length = 0; // in the message
  std::string_view json{};
};

bool goes_on(std::string_view rest, std::string_view part) {
  return rest.size() > part.size() + 1 && rest.substr(1).starts_with(part) &&
         (rest[part.size() + 1] == '/' || rest[part.size() + 1] == ' ');
}

/// The longest name that fits: "a" may be there beside "a b".
std::optional<step> into_object(std::string_view rest, std::string_view json) {
  const auto members = split_object(json);
  std::optional<step> best;
  for (std::size_t i = 0; members && i < members->size(); ++i) {
    const auto part = pointer_step((*members)[i].key);
    if (goes_on(rest, part) && (!best || best->length < part.size() + 1))
      best = step{part.size() + 1, (*members)[i].value};
  }
  return best;
}

std::optional<step> into_array(std::string_view rest, std::string_view json) {
  const auto digits = rest.substr(1, std::min(rest.find_first_not_of("0123456789", 1), rest.size()) - 1);
  const auto elements = split_array(json);
  if (digits.empty() || digits.size() > 9 || !elements || !goes_on(rest, digits))
    return std::nullopt;
  const auto at = std::stoul(std::string(digits));
  return at < elements->size() ? std::optional(step{digits.size() + 1, (*elements)[at]}) : std::nullopt;
}

} // namespace

std::string escape_pointer(std::string_view key) {
  std::string out;
  for (const char c : key) {
    if (c == '~')
      out += "~0";
    else if (c == '/')
      out += "~1";
    else
      out += c;
  }
  return out;
}

std::size_t pointer_length(std::string_view message, std::string_view json) {
  std::size_t length = 0;
  while (length < message.size() && message[length] == '/') {
    const auto rest = message.substr(length);
    const auto next = json.starts_with('[') ? into_array(rest, json) : into_object(rest, json);
    if (!next)
      return length + std::min(rest.find(' '), rest.size());
    length += next->length;
    json = next->json;
  }
  return length;
}

} // namespace colloquy::gateway
