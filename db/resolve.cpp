#include "db/resolve.hpp"

#include <arpa/inet.h>
#include <libpq-fe.h>
#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstdlib>
#include <map>
#include <memory>
#include <vector>

namespace colloquy::db {
namespace {

/// As libpq splits its lists: an empty part counts, at the end too.
std::vector<std::string> split_commas(const std::string& text) {
  std::vector<std::string> parts(1);
  for (char c : text)
    if (c == ',')
      parts.emplace_back();
    else
      parts.back().push_back(c);
  return parts;
}

std::string join_commas(const std::vector<std::string>& parts) {
  std::string out;
  for (std::size_t i = 0; i < parts.size(); ++i)
    out += (i == 0 ? "" : ",") + parts[i];
  return out;
}

bool is_address_or_socket(const std::string& host) {
  unsigned char scratch[sizeof(in6_addr)];
  return host.empty() || host.front() == '/' || host.front() == '@' || inet_pton(AF_INET, host.c_str(), scratch) == 1 ||
         inet_pton(AF_INET6, host.c_str(), scratch) == 1;
}

result<std::vector<std::string>> addresses_of(const std::string& host) {
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found); failed != 0)
    return error{error_code::database_unavailable,
                 "cannot find the database's host \"" + host + "\": " + gai_strerror(failed)};
  std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  std::vector<std::string> addresses;
  for (const auto* at = found; at; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 &&
        std::find(addresses.begin(), addresses.end(), text) == addresses.end())
      addresses.emplace_back(text);
  }
  if (addresses.empty())
    return error{error_code::database_unavailable, "cannot read the address of host \"" + host + "\""};
  return addresses;
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

using option_values = std::map<std::string, std::string>;

/// libpq tries the entries of its lists in turn, so a host of several addresses becomes several entries.
result<void> add_addresses(option_values& values) {
  const auto hosts = split_commas(values["host"]);
  const auto ports = values.contains("port") ? split_commas(values["port"]) : std::vector<std::string>{};
  if (ports.size() > 1 && ports.size() != hosts.size())
    return {}; // libpq will say so
  std::vector<std::string> hosts_out, addresses_out, ports_out;
  bool any_name = false;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> addresses(1); // empty: libpq takes the host itself
    if (!is_address_or_socket(hosts[i])) {
      auto found = addresses_of(hosts[i]);
      if (!found)
        return found.failure();
      addresses = std::move(found).value();
      any_name = true;
    }
    for (auto& address : addresses) {
      hosts_out.push_back(hosts[i]);
      addresses_out.push_back(std::move(address));
      if (ports.size() > 1)
        ports_out.push_back(ports[i]);
    }
  }
  if (!any_name)
    return {};
  values["host"] = join_commas(hosts_out);
  values["hostaddr"] = join_commas(addresses_out);
  if (!ports_out.empty())
    values["port"] = join_commas(ports_out);
  return {};
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
  option_values values;
  for (const auto* option = options.get(); option->keyword; ++option)
    if (option->val && *option->val)
      values[option->keyword] = option->val;
  if (!values.contains("host"))
    if (const char* host = std::getenv("PGHOST"); host && *host)
      values["host"] = host;
  if (values.contains("host") && !values.contains("hostaddr") && !std::getenv("PGHOSTADDR"))
    if (auto added = add_addresses(values); !added)
      return added.failure();
  std::string out;
  for (const auto& [keyword, value] : values)
    out += (out.empty() ? "" : " ") + keyword + "=" + quoted(value);
  return out;
}

} // namespace colloquy::db
