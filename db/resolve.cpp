#include "db/resolve.hpp"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <sys/socket.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <sstream>
#include <vector>

namespace colloquy::db {
namespace {

std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts;
  std::stringstream stream(text);
  for (std::string part; std::getline(stream, part, ',');)
    parts.push_back(part);
  return parts;
}

bool is_address_or_socket(const std::string& host) {
  unsigned char scratch[sizeof(in6_addr)];
  return host.empty() || host.front() == '/' || host.front() == '@' || inet_pton(AF_INET, host.c_str(), scratch) == 1 ||
         inet_pton(AF_INET6, host.c_str(), scratch) == 1;
}

result<std::string> address_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found); failed != 0)
    return error{error_code::database_unavailable,
                 "cannot find the database's host \"" + host + "\": " + gai_strerror(failed)};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  char text[NI_MAXHOST];
  if (getnameinfo(found->ai_addr, found->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) != 0)
    return error{error_code::database_unavailable, "cannot read the address of host \"" + host + "\""};
  return std::string(text);
}

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

result<std::string> resolve_hosts(const std::string& conninfo) {
  char* problem = nullptr;
  std::unique_ptr<PQconninfoOption, decltype(&PQconninfoFree)> options(PQconninfoParse(conninfo.c_str(), &problem),
                                                                       PQconninfoFree);
  if (!options) {
    std::unique_ptr<char, decltype(&PQfreemem)> owned(problem, PQfreemem);
    return error{error_code::invalid_request, "the database's connection string cannot be read"};
  }
  std::map<std::string, std::string> values;
  for (const auto* option = options.get(); option->keyword; ++option)
    if (option->val && *option->val)
      values[option->keyword] = option->val;
  if (!values.contains("host"))
    if (const char* host = std::getenv("PGHOST"); host && *host)
      values["host"] = host;
  if (values.contains("host") && !values.contains("hostaddr") && !std::getenv("PGHOSTADDR")) {
    std::string addresses;
    bool any = false;
    for (const auto& host : split_commas(values["host"])) {
      if (!addresses.empty() || any)
        addresses.push_back(',');
      any = true;
      if (is_address_or_socket(host))
        continue; // an empty entry: libpq takes the host itself
      auto address = address_of(host);
      if (!address)
        return address.failure();
      addresses += *address;
    }
    if (addresses.find_first_not_of(',') != std::string::npos)
      values["hostaddr"] = addresses;
  }
  std::string out;
  for (const auto& [keyword, value] : values)
    out += (out.empty() ? "" : " ") + keyword + "=" + quoted(value);
  return out;
}

} // namespace colloquy::db
