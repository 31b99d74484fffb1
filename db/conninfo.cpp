#include "db/conninfo.hpp"

#include "db/libpq_handles.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>

namespace colloquy::db {
namespace {

std::string quoted(const std::string& value) {
  std::string out = "'";
  for (char c : value) {
    if (c == '\'' || c == '\\')
      out.push_back('\\');
    out.push_back(c);
  }
  return out + "'";
}

} // namespace

result<option_values> parse_conninfo(const std::string& conninfo) {
  char* problem = nullptr;
  const conninfo_ptr options(PQconninfoParse(conninfo.c_str(), &problem));
  if (!options) {
    const text_ptr owned(problem);
    return error{error_code::invalid_request, "the database's connection string cannot be read"};
  }
  option_values values;
  for (const auto* option = options.get(); option->keyword; ++option)
    if (option->val)
      values[option->keyword] = option->val;
  return values;
}

std::string write_conninfo(const option_values& values) {
  std::string out;
  for (const auto& [keyword, value] : values)
    out += (out.empty() ? "" : " ") + keyword + "=" + quoted(value);
  return out;
}

std::vector<std::string> split_list(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back().push_back(c);
  return parts;
}

std::string join_list(const std::vector<std::string>& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i)
    out += (i == 0 ? "" : ",") + parts[i];
  return out;
}

std::string value_or_environment(const option_values& values, const std::string& keyword, const char* variable) {
  if (const auto found = values.find(keyword); found != values.end())
    return found->second;
  const char* set = std::getenv(variable);
  return set ? set : "";
}

std::vector<host_entry> host_entries(const option_values& values) {
  const auto names = split_list(value_or_environment(values, "host", "PGHOST"));
  const auto addresses = split_list(value_or_environment(values, "hostaddr", "PGHOSTADDR"));
  const auto ports = split_list(value_or_environment(values, "port", "PGPORT"));
  std::vector<host_entry> entries(std::max(names.size(), addresses.size()));
  for (std::size_t i = 0; i < entries.size(); ++i)
    entries[i] = {i < names.size() ? names[i] : "", i < addresses.size() ? addresses[i] : "",
                  ports.size() == 1  ? ports[0]
                  : i < ports.size() ? ports[i]
                                     : ""};
  return entries;
}

bool is_address_or_socket(const std::string& host) {
  unsigned char scratch[sizeof(in6_addr)];
  return host.empty() || host.front() == '/' || host.front() == '@' || inet_pton(AF_INET, host.c_str(), scratch) == 1 ||
         inet_pton(AF_INET6, host.c_str(), scratch) == 1;
}

bool is_local(const std::string& host_or_address) {
  const auto& host = host_or_address;
  if (host.empty() || host.front() == '/' || host.front() == '@' || host == "localhost")
    return true;
  in6_addr six{};
  if (inet_pton(AF_INET6, host.c_str(), &six) == 1)
    return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
  in_addr four{};
  return inet_pton(AF_INET, host.c_str(), &four) == 1 && (ntohl(four.s_addr) >> 24) == 127;
}

} // namespace colloquy::db
