// Reading JSON once, without building anything of it: a listener hears the tokens and keeps what it wants. The rules
// that hold for every JSON text that Colloquy takes are kept here.
#pragma once

#include "messages/error.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy {

/// integer: a number without fraction and exponent that fits 64 bits with a sign; number: every other.
enum class json_kind : std::uint8_t { null, boolean, integer, number, string, object, array };

struct json_scalar {
  json_kind kind = json_kind::null;
  std::int64_t integer = 0;  ///< of kind integer; of kind boolean: 1 if true
  std::string_view string{}; ///< of kind string: decoded, valid only during the call
  std::string_view number{}; ///< of kind number: as it is spelled, valid only during the call
};

/// Hears tokens in the order of the text. `depth` is how many objects and arrays are around the token. A call that
/// returns false ends the scan, with the error given to refuse().
class json_listener {
public:
  json_listener() = default;
  json_listener(const json_listener&) = delete;
  json_listener& operator=(const json_listener&) = delete;
  virtual ~json_listener() = default;

  virtual bool on_key(int depth, std::string_view key) = 0;
  virtual bool on_scalar(int depth, const json_scalar& value) = 0;
  virtual bool on_open(int depth, json_kind kind) = 0;
  virtual bool on_close(int depth) = 0;

  std::optional<error> failure{};

protected:
  bool refuse(error why) {
    failure = std::move(why);
    return false;
  }
};

/// Scans a text that must be one JSON value: valid UTF-8 without a byte order mark, no NUL (raw or as \u0000), no
/// unpaired surrogate, at most `depth_max` objects and arrays inside each other, no key twice in one object, numbers
/// below 1e4932 with at most 9 digits of exponent (neither the library nor PostgreSQL's numeric reads more, 0e9999999999
/// included). The depth is bounded, and so is the stack that it takes. Errors: invalid_request, or what the listener
/// refused with. `listener` may be null.
result<void> scan_json(std::string_view text, int depth_max, json_listener* listener);

/// For messages that quote what a caller sent: in quotes, control characters as '?', cut after 64 bytes.
std::string quoted(std::string_view text);

} // namespace colloquy
