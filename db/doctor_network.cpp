#include "db/doctor_network.hpp"

#include "db/conninfo.hpp"
#include "db/running_work.hpp"

#include <netdb.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <utility>

namespace colloquy::db::doctor {
namespace {

using clock = std::chrono::steady_clock;

struct records {
  std::vector<std::string> addresses;
  std::string failure;
};

milliseconds since(clock::time_point begun) {
  return std::chrono::duration_cast<milliseconds>(clock::now() - begun);
}

std::string late(milliseconds limit) {
  return "no answer within " + std::to_string(limit.count()) + " ms";
}

records look_up_family(const std::string& host, int family) {
  addrinfo hints{};
  hints.ai_family = family;
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  if (const int failed = getaddrinfo(host.c_str(), nullptr, &hints, &found); failed != 0)
    return {{}, gai_strerror(failed)};
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  records all;
  for (const auto* at = found; at; at = at->ai_next) {
    char text[NI_MAXHOST];
    if (getnameinfo(at->ai_addr, at->ai_addrlen, text, sizeof text, nullptr, 0, NI_NUMERICHOST) == 0 &&
        std::find(all.addresses.begin(), all.addresses.end(), text) == all.addresses.end())
      all.addresses.emplace_back(text);
  }
  return all;
}

running_work<records> begin_look_up(const std::string& host, int family) {
  return running_work<records>([host, family] { return look_up_family(host, family); });
}

void add_figures(host_facts& host, const std::string& address) {
  (address.find(':') == std::string::npos ? host.ipv4 : host.ipv6).push_back(address);
}

bool is_socket(const std::string& host) {
  return !host.empty() && (host.front() == '/' || host.front() == '@');
}

host_facts begin_host(const host_entry& entry) {
  host_facts host;
  host.host = entry.name.empty() ? entry.address : entry.name;
  host.port = entry.port.empty() ? "5432" : entry.port;
  if (!entry.address.empty())
    add_figures(host, entry.address);
  else if (!is_address_or_socket(entry.name))
    host.is_name = true;
  else if (!entry.name.empty() && !is_socket(entry.name))
    add_figures(host, entry.name);
  return host;
}

// ---- connecting

struct socket_address {
  sockaddr_storage bytes{};
  socklen_t size = 0;
};

socket_address unix_address(const door_facts& door) {
  socket_address made;
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  const auto path = door.address + "/.s.PGSQL." + door.port;
  if (path.size() >= sizeof address.sun_path)
    return made;
  std::memcpy(address.sun_path, path.c_str(), path.size() + 1);
  if (door.address.front() == '@') // of the abstract space: its first byte is 0
    address.sun_path[0] = '\0';
  made.size =
      static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + path.size() + (door.address.front() == '@' ? 0 : 1));
  std::memcpy(&made.bytes, &address, sizeof address);
  return made;
}

socket_address address_of(const door_facts& door) {
  if (door.family == address_family::unix_socket)
    return unix_address(door);
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
  addrinfo* found = nullptr;
  socket_address made;
  if (getaddrinfo(door.address.c_str(), door.port.c_str(), &hints, &found) != 0)
    return made;
  const std::unique_ptr<addrinfo, decltype(&freeaddrinfo)> owned(found, freeaddrinfo);
  std::memcpy(&made.bytes, found->ai_addr, found->ai_addrlen);
  made.size = found->ai_addrlen;
  return made;
}

/// A socket that connects, -1 with `why` if it cannot.
int begin_connecting(const door_facts& door, std::string& why) {
  const auto address = address_of(door);
  if (address.size == 0) {
    why = door.family == address_family::unix_socket ? "the socket's path is too long" : "not an address and a port";
    return -1;
  }
  const int fd = ::socket(address.bytes.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
  if (fd < 0) {
    why = std::strerror(errno);
    return -1;
  }
  if (::connect(fd, reinterpret_cast<const sockaddr*>(&address.bytes), address.size) == 0 || errno == EINPROGRESS)
    return fd;
  why = std::strerror(errno);
  ::close(fd);
  return -1;
}

std::string connect_error(int fd) {
  int failed = 0;
  socklen_t size = sizeof failed;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &failed, &size) != 0)
    failed = errno;
  return failed == 0 ? "" : std::strerror(failed);
}

milliseconds left_until(clock::time_point deadline) {
  return std::max(milliseconds{0}, std::chrono::ceil<milliseconds>(deadline - clock::now()));
}

std::vector<door_facts> doors_of(const name_facts& names) {
  std::vector<door_facts> doors;
  for (const auto& host : names.hosts) {
    if (is_socket(host.host))
      doors.push_back({host.host, host.port, host.host, address_family::unix_socket, "", false, {}});
    for (const auto& address : host.ipv4)
      doors.push_back({host.host, host.port, address, address_family::ipv4, "", false, {}});
    for (const auto& address : host.ipv6)
      doors.push_back({host.host, host.port, address, address_family::ipv6, "", false, {}});
  }
  return doors;
}

/// Waits until every one of these has answered, or the deadline.
void finish_connecting(std::vector<door_facts>& doors, std::vector<pollfd>& waiting, clock::time_point begun,
                       milliseconds limit) {
  const auto is_waiting = [](const pollfd& each) { return each.fd >= 0; };
  while (std::any_of(waiting.begin(), waiting.end(), is_waiting)) {
    const auto left = left_until(begun + limit);
    const int ready = ::poll(waiting.data(), waiting.size(), static_cast<int>(left.count()));
    if (ready < 0 && errno != EINTR)
      break;
    for (std::size_t i = 0; i < waiting.size(); ++i) {
      auto& each = waiting[i];
      const bool is_late = left.count() == 0;
      if (each.fd < 0 || (ready <= 0 || each.revents == 0 ? !is_late : false))
        continue;
      doors[i].timed_out = ready <= 0 || each.revents == 0;
      doors[i].failure = doors[i].timed_out ? late(limit) : connect_error(each.fd);
      doors[i].took = since(begun);
      ::close(std::exchange(each.fd, -1));
    }
  }
  for (auto& each : waiting)
    if (each.fd >= 0)
      ::close(each.fd);
}

} // namespace

name_facts look_up(const std::string& conninfo, milliseconds limit) {
  const auto begun = clock::now();
  name_facts facts;
  const auto values = parse_conninfo(conninfo);
  if (!values || (!value_or_environment(*values, "service", "PGSERVICE").empty() && !values->contains("host") &&
                  !values->contains("hostaddr")))
    return facts;
  for (const auto& entry : host_entries(*values))
    facts.hosts.push_back(begin_host(entry));
  std::vector<std::pair<running_work<records>, running_work<records>>> asked;
  for (const auto& host : facts.hosts)
    if (host.is_name)
      asked.emplace_back(begin_look_up(host.host, AF_INET), begin_look_up(host.host, AF_INET6));
  auto next = asked.begin();
  for (auto& host : facts.hosts) {
    if (!host.is_name)
      continue;
    auto four = next->first.wait_until(begun + limit).value_or(records{{}, late(limit)});
    auto six = next->second.wait_until(begun + limit).value_or(records{{}, late(limit)});
    ++next;
    host.ipv4 = std::move(four.addresses);
    host.ipv4_failure = std::move(four.failure);
    host.ipv6 = std::move(six.addresses);
    host.ipv6_failure = std::move(six.failure);
  }
  facts.took = since(begun);
  return facts;
}

reach_facts reach(const name_facts& names, milliseconds limit) {
  const auto begun = clock::now();
  reach_facts facts{doors_of(names), {}};
  std::vector<pollfd> waiting;
  for (auto& door : facts.doors)
    waiting.push_back({begin_connecting(door, door.failure), POLLOUT, 0});
  finish_connecting(facts.doors, waiting, begun, limit);
  facts.took = since(begun);
  return facts;
}

std::string through_open_doors(const std::string& conninfo, const reach_facts& reached, address_preference preferred) {
  auto values = parse_conninfo(conninfo);
  std::vector<const door_facts*> open;
  for (const auto& door : reached.doors)
    if (door.is_open())
      open.push_back(&door);
  if (!values || open.empty())
    return conninfo;
  if (preferred != address_preference::any)
    std::stable_partition(open.begin(), open.end(), [&](const door_facts* door) {
      return (door->family == address_family::ipv6) == (preferred == address_preference::ipv6);
    });
  std::vector<std::string> hosts, addresses, ports;
  for (const auto* door : open) {
    hosts.push_back(door->host);
    addresses.push_back(door->family == address_family::unix_socket ? "" : door->address);
    ports.push_back(door->port);
  }
  if (!value_or_environment(*values, "host", "PGHOST").empty()) // else there is no name that a certificate could have
    (*values)["host"] = join_list(hosts);
  (*values)["hostaddr"] = join_list(addresses);
  (*values)["port"] = join_list(ports);
  return write_conninfo(*values);
}

bool wait_for_socket(int fd, short events, clock::time_point deadline) {
  for (;;) {
    pollfd one{fd, events, 0};
    const auto left = left_until(deadline);
    const int ready = ::poll(&one, 1, static_cast<int>(left.count()));
    if (ready > 0 || (ready < 0 && errno != EINTR))
      return true; // whoever uses the socket will see what it is
    if (left.count() == 0)
      return false;
  }
}

int connect_door(const door_facts& door, clock::time_point deadline, std::string& why) {
  const int fd = begin_connecting(door, why);
  if (fd < 0)
    return -1;
  if (!wait_for_socket(fd, POLLOUT, deadline))
    why = "timeout expired";
  else
    why = connect_error(fd);
  if (why.empty())
    return fd;
  ::close(fd);
  return -1;
}

} // namespace colloquy::db::doctor
