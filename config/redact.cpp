#include "config/redact.hpp"

#include "config/connection_text.hpp"

#include <algorithm>
#include <array>
#include <optional>

namespace colloquy::config {

namespace {

// A list of what may be shown, not of what must be hidden: a parameter that PostgreSQL adds later is hidden.
constexpr std::array<std::string_view, 24> shown_parameters{"application_name",
                                                            "channel_binding",
                                                            "client_encoding",
                                                            "connect_timeout",
                                                            "dbname",
                                                            "fallback_application_name",
                                                            "gssencmode",
                                                            "host",
                                                            "hostaddr",
                                                            "keepalives",
                                                            "keepalives_count",
                                                            "keepalives_idle",
                                                            "keepalives_interval",
                                                            "krbsrvname",
                                                            "port",
                                                            "requirepeer",
                                                            "service",
                                                            "sslcert",
                                                            "sslmode",
                                                            "sslrootcert",
                                                            "target_session_attrs",
                                                            "tcp_user_timeout",
                                                            "user",
                                                            "sslnegotiation"};

// Parameters that exist and whose values are hidden. Any other name makes the string doubtful: it may be a piece of an
// unquoted password.
constexpr std::array<std::string_view, 14> hidden_parameters{"password",
                                                             "sslpassword",
                                                             "passfile",
                                                             "options",
                                                             "sslkey",
                                                             "sslcrl",
                                                             "sslcrldir",
                                                             "sslsni",
                                                             "sslcompression",
                                                             "gsslib",
                                                             "replication",
                                                             "require_auth",
                                                             "load_balance_hosts",
                                                             "ssl_min_protocol_version"};

template <class List>
bool has(const List& list, std::string_view name) {
  return std::find(list.begin(), list.end(), name) != list.end();
}

bool is_letter_or_digit(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/// Letters, digits and the few marks of names; nothing that separates the parts of a connection string.
bool is_plain(std::string_view text, std::string_view marks = "._-") {
  return std::all_of(text.begin(), text.end(),
                     [&](char c) { return is_letter_or_digit(c) || marks.find(c) != std::string_view::npos; });
}

bool is_number(std::string_view text) {
  return std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
}

std::string shown_or_hidden(std::string_view value, std::string_view marks) {
  return std::string(is_plain(value, marks) ? value : hidden);
}

/// Cuts off and returns what stands before the separator; all of it if there is none.
std::string_view take_until(std::string_view& rest, char separator) {
  const auto at = rest.find(separator);
  const auto taken = rest.substr(0, at);
  rest = at == std::string_view::npos ? std::string_view() : rest.substr(at + 1);
  return taken;
}

/// One "host", "host:port" or "[address]:port".
bool is_plain_host(std::string_view host) {
  if (host.starts_with('[')) {
    const auto end = host.find(']');
    if (end == std::string_view::npos || !is_plain(host.substr(1, end - 1), ":."))
      return false;
    host = host.substr(end + 1);
    return host.empty() || (host.front() == ':' && is_number(host.substr(1)));
  }
  const auto colon = host.find(':');
  return is_plain(host.substr(0, colon)) && (colon == std::string_view::npos || is_number(host.substr(colon + 1)));
}

/// A socket's folder stands in a URI with its slashes as %2F; every other escape in a host is doubtful.
std::string without_escaped_slashes(std::string_view hosts) {
  std::string plain;
  for (std::size_t at = 0; at < hosts.size(); ++at) {
    const auto escape = hosts.substr(at, 3);
    if (escape == "%2F" || escape == "%2f")
      at += 2;
    else
      plain += hosts[at];
  }
  return plain;
}

bool are_plain_hosts(std::string_view hosts) {
  const auto plain = without_escaped_slashes(hosts);
  std::string_view rest = plain;
  while (!rest.empty()) {
    if (!is_plain_host(take_until(rest, ',')))
      return false;
  }
  return true;
}

/// "user:password", the password hidden. An escape in the user's part may be an escaped colon, so it hides it too.
std::string redact_user(std::string_view user_and_password) {
  const auto colon = user_and_password.find(':');
  const auto user = user_and_password.substr(0, colon);
  auto shown = shown_or_hidden(user, "._-");
  if (colon != std::string_view::npos)
    shown += ":" + std::string(hidden);
  return shown;
}

std::optional<std::string> redact_query(std::string_view query) {
  std::string shown;
  while (!query.empty()) {
    auto value = take_until(query, '&');
    const auto name = take_until(value, '=');
    if (name.empty() || !is_plain(name, "_"))
      return std::nullopt;
    shown += shown.empty() ? "?" : "&";
    if (has(shown_parameters, name))
      shown += std::string(name) + "=" + shown_or_hidden(value, "._-/,");
    else if (has(hidden_parameters, name))
      shown += std::string(name) + "=" + std::string(hidden);
    else
      shown += hidden;
  }
  return shown;
}

std::optional<std::string> redact_uri(std::string_view scheme, std::string_view rest) {
  const auto authority = rest.substr(0, rest.find_first_of("/?"));
  rest = rest.substr(authority.size());
  const auto at = authority.find('@');
  const bool has_user = at != std::string_view::npos;
  const auto hosts = has_user ? authority.substr(at + 1) : authority;
  // An '@' further on means that the password has a '/', '?' or '@' in it that should have been escaped.
  if (rest.find('@') != std::string_view::npos || !are_plain_hosts(hosts))
    return std::nullopt;
  const auto question = rest.find('?');
  const auto database = rest.substr(0, question);
  if (!is_plain(database.substr(database.empty() ? 0 : 1)))
    return std::nullopt;
  std::optional<std::string> query{std::in_place};
  if (question != std::string_view::npos)
    query = redact_query(rest.substr(question + 1));
  if (!query)
    return std::nullopt;
  return std::string(scheme) + (has_user ? redact_user(authority.substr(0, at)) + "@" : "") + std::string(hosts) +
         std::string(database) + *query;
}

std::optional<std::string> redact_pairs(std::string_view pairs) {
  std::string shown;
  pair_scanner scanner(pairs);
  while (!scanner.at_end()) {
    const auto name = scanner.name();
    if (!name || !is_plain(*name, "_") || !(has(shown_parameters, *name) || has(hidden_parameters, *name)))
      return std::nullopt;
    const auto value = scanner.value();
    if (!value)
      return std::nullopt;
    shown += (shown.empty() ? "" : " ") + std::string(*name) + "=";
    shown += has(shown_parameters, *name) ? shown_or_hidden(*value, "._-/,") : std::string(hidden);
  }
  return shown;
}

} // namespace

std::string redact_connection(std::string_view connection) {
  constexpr std::array<std::string_view, 2> schemes{"postgresql://", "postgres://"};
  for (const auto scheme : schemes) {
    if (connection.starts_with(scheme))
      return redact_uri(scheme, connection.substr(scheme.size())).value_or(std::string(scheme) + std::string(hidden));
  }
  return redact_pairs(connection).value_or(std::string(hidden));
}

} // namespace colloquy::config
