#include "config/listen_address.hpp"

#include <algorithm>
#include <charconv>

namespace colloquy::config {
namespace {

constexpr std::size_t unix_path_bytes_max = 107; // sockaddr_un
constexpr std::size_t host_bytes_max = 253;

bool is_host(std::string_view text) {
  return !text.empty() && text.size() <= host_bytes_max && std::all_of(text.begin(), text.end(), [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '-';
  });
}

bool is_ipv6(std::string_view text) {
  return text.find(':') != std::string_view::npos && text.size() <= 45 &&
         text.find_first_not_of("0123456789abcdefABCDEF:.") == std::string_view::npos;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto read = std::from_chars(text.data(), text.data() + text.size(), port);
  if (text.empty() || read.ec != std::errc{} || read.ptr != text.data() + text.size())
    return std::nullopt;
  return port;
}

std::optional<listen_address> parse_one(std::string_view text) {
  if (text.starts_with("unix:")) {
    text.remove_prefix(5);
    if (!text.starts_with('/') || text.size() < 2 || text.size() > unix_path_bytes_max)
      return std::nullopt;
    return listen_address{"", 0, std::filesystem::path(text)};
  }
  const auto colon = text.rfind(':');
  if (colon == std::string_view::npos)
    return std::nullopt;
  auto host = text.substr(0, colon);
  const auto port = parse_port(text.substr(colon + 1));
  const bool is_bracketed = host.size() > 2 && host.front() == '[' && host.back() == ']';
  if (is_bracketed)
    host = host.substr(1, host.size() - 2);
  if (!port || !(is_bracketed ? is_ipv6(host) : is_host(host)))
    return std::nullopt;
  return listen_address{std::string(host), *port, {}};
}

} // namespace

bool listen_address::is_loopback() const noexcept {
  return is_unix() || host == "localhost" || host == "::1" ||
         (host.starts_with("127.") && host.find_first_not_of("0123456789.") == std::string::npos);
}

std::string listen_address::text() const {
  if (is_unix())
    return "unix:" + path.string();
  const bool is_v6 = host.find(':') != std::string::npos;
  return (is_v6 ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::optional<std::vector<listen_address>> parse_listen_addresses(std::string_view text) {
  std::vector<listen_address> found;
  for (;;) {
    const auto comma = std::min(text.find(','), text.size());
    auto one = parse_one(text.substr(0, comma));
    if (!one || found.size() == listen_addresses_max)
      return std::nullopt;
    found.push_back(std::move(*one));
    if (comma == text.size())
      return found;
    text.remove_prefix(comma + 1);
  }
}

} // namespace colloquy::config
