// As much of a connection string as this room must understand; libpq alone judges it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::config {

/// Reads libpq's "key = value" pairs; its rules for quotes and backslashes.
class pair_scanner {
public:
  explicit pair_scanner(std::string_view text)
    : rest_(text) {}

  /// Skips blanks.
  bool at_end();

  /// What stands before the '='; nothing if there is no '='. Whether it is a name is for the caller to judge.
  std::optional<std::string_view> name();

  /// The value without its quotes; nothing if a quote is not closed, or something follows it at once.
  std::optional<std::string> value();

private:
  void skip_blanks();

  std::string_view rest_;
};

struct host_and_port {
  std::string host; ///< empty where the text names none
  std::string port; ///< empty where the text names none
};

/// The hosts of a URI or of key=value pairs, in their order; none where the text cannot be read. Escapes in a URI stay
/// as they are. Never a part of a password: what may be one is left out.
std::vector<host_and_port> hosts_of(std::string_view connection);

/// Everything but letters, digits and "-._~" as %XX, so that it may stand as a user or a password in a URI.
std::string percent_encoded(std::string_view text);

} // namespace colloquy::config
