// Connection strings taken apart and put together again, by libpq's own rules.
#pragma once

#include "messages/error.hpp"

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace colloquy::db {

/// By libpq's keyword. A value that is there and empty keeps libpq from looking into the environment.
using option_values = std::map<std::string, std::string>;

/// A URI or key=value pairs. Error: invalid_request, without libpq's words, which repeat parts of the text.
result<option_values> parse_conninfo(const std::string& conninfo);

/// As key=value pairs. A secret where the values have one.
std::string write_conninfo(const option_values& values);

/// As libpq splits its lists: an empty part counts, at the end too; so there is one part at least.
std::vector<std::string> split_list(const std::string& text);
std::string join_list(const std::vector<std::string>& parts);

/// What libpq will take: the value, else that of the environment; empty where neither is.
std::string value_or_environment(const option_values& values, const std::string& keyword, const char* variable);

/// One entry of the lists that libpq tries in turn. `address` (hostaddr) is empty where the name is to be looked up.
struct host_entry {
  std::string name;
  std::string address;
  std::string port;
};

/// The entries, with what the environment adds; one at least. Nothing is judged: a missing port is an empty one.
std::vector<host_entry> host_entries(const option_values& values);

/// Neither a name to be looked up: an address in figures, a socket's folder, or nothing.
bool is_address_or_socket(const std::string& host);

/// A socket, a loopback address, localhost or nothing (libpq's own socket).
bool is_local(const std::string& host_or_address);

} // namespace colloquy::db
