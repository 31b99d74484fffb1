#include "db/resolve.hpp"

#include "db/conninfo.hpp"

#include <netdb.h>
#include <sys/socket.h>

#include <algorithm>
#include <memory>

namespace colloquy::db {
namespace {

bool is_ipv6(const std::string& address) {
  return address.find(':') != std::string::npos;
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

/// libpq tries the entries of its lists in turn, so a host of several addresses becomes several entries.
result<std::vector<std::string>> add_addresses(option_values& values, address_preference preference) {
  const auto hosts = split_list(value_or_environment(values, "host", "PGHOST"));
  const auto ports = split_list(value_or_environment(values, "port", "PGPORT"));
  std::vector<std::string> notes;
  if (ports.size() > 1 && ports.size() != hosts.size())
    return notes; // libpq will say so
  std::vector<std::string> hosts_out, addresses_out, ports_out;
  for (std::size_t i = 0; i < hosts.size(); ++i) {
    std::vector<std::string> addresses(1); // empty: libpq takes the host itself
    if (!is_address_or_socket(hosts[i])) {
      auto found = addresses_of(hosts[i]);
      if (!found)
        return found.failure();
      addresses = in_preferred_order(std::move(found).value(), preference);
      if (auto note = family_note(hosts[i], addresses, preference); !note.empty())
        notes.push_back(std::move(note));
    }
    for (auto& address : addresses) {
      hosts_out.push_back(hosts[i]);
      addresses_out.push_back(std::move(address));
      if (ports.size() > 1)
        ports_out.push_back(ports[i]);
    }
  }
  values["host"] = join_list(hosts_out);
  values["hostaddr"] = join_list(addresses_out);
  if (!ports_out.empty())
    values["port"] = join_list(ports_out);
  return notes;
}

bool has_names(const option_values& values) {
  if (!value_or_environment(values, "hostaddr", "PGHOSTADDR").empty())
    return false;
  const auto hosts = split_list(value_or_environment(values, "host", "PGHOST"));
  return !std::all_of(hosts.begin(), hosts.end(), is_address_or_socket);
}

} // namespace

result<resolved_hosts> resolve_hosts(const std::string& conninfo, address_preference preference) {
  auto values = parse_conninfo(conninfo);
  if (!values)
    return values.failure();
  if (!has_names(*values))
    return resolved_hosts{write_conninfo(*values), {}};
  auto notes = add_addresses(*values, preference);
  if (!notes)
    return notes.failure();
  return resolved_hosts{write_conninfo(*values), std::move(notes).value()};
}

bool has_host_names(const std::string& conninfo) {
  const auto values = parse_conninfo(conninfo);
  return values && has_names(*values);
}

std::vector<std::string> in_preferred_order(std::vector<std::string> addresses, address_preference preference) {
  if (preference != address_preference::any)
    std::stable_partition(addresses.begin(), addresses.end(), [&](const auto& address) {
      return is_ipv6(address) == (preference == address_preference::ipv6);
    });
  return addresses;
}

std::string family_note(const std::string& host, const std::vector<std::string>& addresses,
                        address_preference preference) {
  const auto with_ipv6 = std::count_if(addresses.begin(), addresses.end(), is_ipv6);
  if (preference == address_preference::ipv6 && with_ipv6 == 0)
    return "host \"" + host + "\" has only IPv4 addresses; address_family = ipv6 cannot be followed";
  if (preference == address_preference::ipv6 || with_ipv6 == 0 || with_ipv6 != std::ssize(addresses))
    return {};
  std::string note = "host \"" + host + "\" has only IPv6 addresses; a machine without IPv6 does not reach it";
  if (preference == address_preference::ipv4)
    note += ", and address_family = ipv4 cannot be followed";
  if (host.ends_with(".supabase.co"))
    note += "; a Supabase project is reached over IPv4 by its session pooler (connection_type = supavisor_session)";
  return note;
}

} // namespace colloquy::db
