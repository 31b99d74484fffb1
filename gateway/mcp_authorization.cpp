#include "gateway/mcp_authorization.hpp"

#include "config/listen_address.hpp"
#include "gateway/call.hpp"
#include "gateway/edge.hpp"
#include "gateway/json_writer.hpp"
#include "gateway/reply_head.hpp"

#include <algorithm>

namespace colloquy::gateway {
namespace {

std::string lower_case(std::string_view text) {
  std::string lower(text);
  for (auto& c : lower)
    c = c >= 'A' && c <= 'Z' ? static_cast<char>(c | 0x20) : c;
  return lower;
}

/// Without the port; of an address in brackets what is in them. "": it is not a name and a port and nothing else, as
/// where a name and a password stand before another host.
std::string name_of(std::string_view host) {
  const bool is_bracketed = host.starts_with('[');
  const auto end = is_bracketed ? host.find(']') : std::min(host.find(':'), host.size());
  if (end == std::string_view::npos)
    return "";
  const auto name = is_bracketed ? host.substr(1, end - 1) : host.substr(0, end);
  const auto rest = host.substr(end + (is_bracketed ? 1 : 0));
  const bool has_good_rest =
      rest.empty() || (rest.front() == ':' && rest.substr(1).find_first_not_of("0123456789") == std::string_view::npos);
  const auto lower = lower_case(name);
  const auto* allowed = is_bracketed ? "0123456789abcdef:." : "0123456789abcdefghijklmnopqrstuvwxyz-._";
  return has_good_rest && lower.find_first_not_of(allowed) == std::string::npos ? lower : "";
}

/// Where the port of a host begins, with its colon; its end if it has none.
std::size_t port_mark(std::string_view host) {
  const auto from = host.starts_with('[') ? std::min(host.find(']'), host.size()) : 0;
  return std::min(host.find(':', from), host.size());
}

template <class Test>
bool any_of_list(const std::optional<std::string>& list, Test test) {
  if (!list)
    return false;
  for (std::string_view rest = *list; !rest.empty();) {
    const auto comma = std::min(rest.find(','), rest.size());
    if (test(rest.substr(0, comma)))
      return true;
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return false;
}

} // namespace

bool is_loopback_name(std::string_view host) {
  const auto name = name_of(host);
  return !name.empty() && config::listen_address{name, 0, {}}.is_loopback();
}

} // namespace colloquy::gateway

namespace colloquy::gateway::mcp {
namespace {

constexpr std::string_view metadata_path = "/.well-known/oauth-protected-resource/mcp";

std::string_view scheme_of(const config::settings& settings) {
  return settings.tls_certificate ? "https://" : "http://";
}

/// Scheme and host of an address.
std::string origin_of(std::string_view url) {
  const auto from = url.find("://");
  const auto end = from == std::string_view::npos ? from : url.find('/', from + 3);
  return std::string(url.substr(0, std::min(end, url.size())));
}

bool is_allowed_origin(std::string_view origin, const http_request& request, const config::settings& settings) {
  const auto scheme = origin.find("://");
  if (scheme != std::string_view::npos && (origin.starts_with("http://") || origin.starts_with("https://")) &&
      is_loopback_name(origin.substr(scheme + 3)))
    return true;
  const bool is_listed =
      any_of_list(settings.mcp_allowed_origins, [&](std::string_view each) { return each == "*" || each == origin; });
  return is_listed || allowed_origin(settings.cors_origins, request);
}

} // namespace

std::optional<error> why_not_from_there(const http_request& request, const config::settings& settings) {
  const auto is_allowed_host = [&](std::string_view host) {
    const auto name = name_of(host);
    if (name.empty())
      return false;
    const auto is_it = [&](std::string_view each) { return lower_case(each) == name || name_of(each) == name; };
    const auto own = origin_of(settings.mcp_resource_url.value_or(""));
    const auto scheme = own.find("://");
    return is_loopback_name(host) || any_of_list(settings.mcp_allowed_hosts, is_it) ||
           (scheme != std::string::npos && name_of(std::string_view(own).substr(scheme + 3)) == name);
  };
  if (request.host && !is_allowed_host(*request.host))
    return error{error_code::forbidden, "the header Host names neither this machine nor one of mcp_allowed_hosts"};
  if (request.origin && !is_allowed_origin(*request.origin, request, settings))
    return error{error_code::forbidden, "only pages of this machine and of mcp_allowed_origins may call /mcp"};
  return std::nullopt;
}

/// Which of the allowed names a caller asks for is its own choice; which port, and so which service, is not.
std::string resource_url(const http_request& request, const config::settings& settings) {
  if (settings.mcp_resource_url)
    return *settings.mcp_resource_url;
  const auto scheme = scheme_of(settings);
  const auto host = request.host.value_or("127.0.0.1");
  const auto mark = port_mark(host);
  const auto said = host.substr(std::min(mark + 1, host.size()));
  const auto usual = settings.tls_certificate ? std::string("443") : std::string("80");
  const auto here = request.local_port == 0 ? usual : std::to_string(request.local_port);
  if ((said.empty() ? std::string_view(usual) : said) == here)
    return std::string(scheme) + std::string(host) + "/mcp";
  return std::string(scheme) + std::string(host.substr(0, mark)) + ":" + here + "/mcp";
}

bool is_for_here(const principal& who, const http_request& request, const config::settings& settings) {
  if (who.kind != principal_kind::token || settings.jwt_audience)
    return true;
  const auto here = resource_url(request, settings);
  return std::find(who.audience.begin(), who.audience.end(), here) != who.audience.end();
}

std::string challenge(const http_request& request, const config::settings& settings, std::string_view more) {
  std::string out = "Bearer realm=\"colloquy\"";
  if (!more.empty())
    out += ", " + std::string(more);
  else if (request.authorization)
    out += ", error=\"invalid_token\"";
  if (more.find("scope=") == std::string_view::npos)
    out += ", scope=\"read write\"";
  return out + ", resource_metadata=\"" + origin_of(resource_url(request, settings)) + std::string(metadata_path) +
         "\"";
}

} // namespace colloquy::gateway::mcp

namespace colloquy::gateway {

task<http_reply> handle_get_resource_metadata(call& of) {
  const auto& settings = of.at.settings();
  if (auto why = mcp::why_not_from_there(of.request, settings)) {
    http_reply refused;
    refused.status = 403;
    json_writer(refused.body).open_object().member("detail", why->message).close_object();
    co_return refused;
  }
  http_reply reply;
  json_writer to(reply.body);
  to.open_object().member("resource", mcp::resource_url(of.request, settings));
  auto servers = settings.mcp_authorization_servers;
  if (!servers && settings.jwt_issuer && settings.jwt_issuer->starts_with("http"))
    servers = settings.jwt_issuer;
  if (servers) {
    to.key("authorization_servers").open_array();
    any_of_list(servers, [&](std::string_view each) {
      to.value(each);
      return false;
    });
    to.close_array();
  }
  to.key("scopes_supported").open_array().value("read").value("write").close_array();
  to.key("bearer_methods_supported").open_array().value("header").close_array();
  to.member("resource_name", settings.mcp_server_name).close_object();
  co_return reply;
}

} // namespace colloquy::gateway
