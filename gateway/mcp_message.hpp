// Messages of the Model Context Protocol: JSON-RPC 2.0, read without being rebuilt, so that what a caller keeps here
// stays the bytes that it sent.
#pragma once

#include "messages/content.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

namespace colloquy::gateway::mcp {

/// Of a JSON-RPC error.
enum class fault_code : int {
  parse_error = -32700,
  invalid_request = -32600,
  method_not_found = -32601,
  invalid_params = -32602,
  internal = -32603,
  resource_not_found = -32002, ///< of the versions before 2026-07-28
  session_not_found = -32001,  ///< as the servers of those versions say it
  header_mismatch = -32020,
  missing_capability = -32021,
  unsupported_version = -32022,
};

struct fault {
  fault_code code = fault_code::internal;
  std::string message{};
  std::string data{};      ///< JSON; "": none
  unsigned status = 200;   ///< of HTTP
  std::string challenge{}; ///< WWW-Authenticate, of 401 and 403
};

/// The members of a JSON object that has been checked, as the bytes they are. What is no object has none. Views live as
/// long as the text.
class members {
public:
  members() = default;
  explicit members(std::string_view object);

  /// "" if it is not there.
  std::string_view raw(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept { return !raw(name).empty(); }
  /// Nothing if it is no string.
  std::optional<std::string> text(std::string_view name) const;
  std::optional<std::int64_t> integer(std::string_view name) const;
  bool is_true(std::string_view name) const noexcept { return raw(name) == "true"; }
  members object(std::string_view name) const { return members(raw(name)); }
  const std::vector<raw_member>& all() const noexcept { return all_; }

private:
  std::vector<raw_member> all_;
};

/// A JSON string as the text it means; nothing if it is none.
std::optional<std::string> string_of(std::string_view json);
/// What an id is known by: the same for all ways of writing it in JSON.
std::string id_value(std::string_view json);

enum class message_kind : std::uint8_t { request, notification, response };

/// Points into the text that it was read from.
struct message {
  message_kind kind = message_kind::request;
  std::string_view id{}; ///< as it stands: a string or an integer; "" of a notification
  std::string method{};
  std::string_view params{}; ///< an object, or ""
  members top{};
};

/// Checks the whole text once. The fault of one whose id can be read is given with that id.
struct message_fault {
  fault why;
  std::string id = "null";
};
std::variant<message, message_fault> read_message(std::string_view text);

/// {"jsonrpc":"2.0","id":ID,"error":{...}}
std::string write_fault(std::string_view id, const fault& why);
/// {"jsonrpc":"2.0","id":ID,"result":RESULT}
std::string write_result(std::string_view id, std::string_view result);
/// {"jsonrpc":"2.0","method":METHOD,"params":PARAMS}; with an id a request.
std::string write_call(std::string_view method, std::string_view params, std::string_view id = {});

} // namespace colloquy::gateway::mcp
