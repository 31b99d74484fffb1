#include "config/connection_text.hpp"

#include <array>

namespace colloquy::config {

namespace {

bool is_blank(char c) {
  return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

std::vector<std::string_view> split(std::string_view text, char separator) {
  std::vector<std::string_view> parts;
  for (auto at = text.find(separator); at != std::string_view::npos; at = text.find(separator)) {
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + 1);
  }
  parts.push_back(text);
  return parts;
}

/// "host", "host:port", "[address]:port"
host_and_port host_of(std::string_view text) {
  const auto end = text.starts_with('[') ? text.find(']') : 0;
  const auto colon = text.find(':', end == std::string_view::npos ? 0 : end);
  if (colon == std::string_view::npos)
    return {std::string(text), {}};
  return {std::string(text.substr(0, colon)), std::string(text.substr(colon + 1))};
}

std::vector<host_and_port> hosts_of_uri(std::string_view rest) {
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  // A second '@' is of a password that should have been escaped; then nobody knows where the hosts begin.
  const auto at = authority.find('@');
  if (rest.find('@', at == std::string_view::npos ? 0 : at + 1) != std::string_view::npos)
    return {};
  std::vector<host_and_port> hosts;
  for (const auto each : split(at == std::string_view::npos ? authority : authority.substr(at + 1), ','))
    hosts.push_back(host_of(each));
  return hosts;
}

/// Ports go with hosts one by one; a single port is that of all.
std::vector<host_and_port> paired(const std::string& hosts, const std::string& ports) {
  std::vector<host_and_port> pairs;
  const auto each_port = split(ports, ',');
  for (const auto host : split(hosts, ',')) {
    const auto place = each_port.size() == 1 ? 0 : pairs.size();
    pairs.push_back({std::string(host), place < each_port.size() ? std::string(each_port[place]) : std::string()});
  }
  return pairs;
}

std::vector<host_and_port> hosts_of_pairs(std::string_view pairs) {
  std::string hosts;
  std::string ports;
  pair_scanner scanner(pairs);
  while (!scanner.at_end()) {
    const auto name = scanner.name();
    auto value = name ? scanner.value() : std::nullopt;
    if (!value)
      return {};
    if (*name == "host")
      hosts = *std::move(value);
    else if (*name == "port")
      ports = *std::move(value);
  }
  return paired(hosts, ports);
}

} // namespace

bool pair_scanner::at_end() {
  skip_blanks();
  return rest_.empty();
}

std::optional<std::string_view> pair_scanner::name() {
  const auto found = rest_.substr(0, rest_.find_first_of("= \t\r\n"));
  rest_.remove_prefix(found.size());
  skip_blanks();
  if (found.empty() || !rest_.starts_with('='))
    return std::nullopt;
  rest_.remove_prefix(1);
  skip_blanks();
  return found;
}

std::optional<std::string> pair_scanner::value() {
  const bool quoted = rest_.starts_with('\'');
  if (quoted)
    rest_.remove_prefix(1);
  std::string found;
  while (!rest_.empty() && !(quoted ? rest_.front() == '\'' : is_blank(rest_.front()))) {
    if (rest_.front() == '\\' && rest_.size() > 1)
      rest_.remove_prefix(1);
    found += rest_.front();
    rest_.remove_prefix(1);
  }
  if (!quoted)
    return found;
  if (rest_.empty())
    return std::nullopt;
  rest_.remove_prefix(1);
  if (!rest_.empty() && !is_blank(rest_.front()))
    return std::nullopt;
  return found;
}

void pair_scanner::skip_blanks() {
  while (!rest_.empty() && is_blank(rest_.front()))
    rest_.remove_prefix(1);
}

std::vector<host_and_port> hosts_of(std::string_view connection) {
  constexpr std::array<std::string_view, 2> schemes{"postgresql://", "postgres://"};
  for (const auto scheme : schemes) {
    if (connection.starts_with(scheme))
      return hosts_of_uri(connection.substr(scheme.size()));
  }
  return hosts_of_pairs(connection);
}

std::string percent_encoded(std::string_view text) {
  constexpr std::string_view kept = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~";
  constexpr std::string_view hex = "0123456789ABCDEF";
  std::string encoded;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (kept.find(c) != std::string_view::npos)
      encoded += c;
    else
      encoded += {'%', hex[byte >> 4], hex[byte & 0xf]};
  }
  return encoded;
}

} // namespace colloquy::config
