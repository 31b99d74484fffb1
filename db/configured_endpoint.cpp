#include "db/configured_endpoint.hpp"

#include <utility>

namespace colloquy::db {
namespace {

address_preference preference_of(config::address_family family) {
  switch (family) {
  case config::address_family::ipv4:
    return address_preference::ipv4;
  case config::address_family::ipv6:
    return address_preference::ipv6;
  case config::address_family::any:
    break;
  }
  return address_preference::any;
}

} // namespace

endpoint_options configured_endpoint(const config::settings& settings, std::string conninfo) {
  endpoint_options options;
  options.conninfo = std::move(conninfo);
  if (settings.ssl_mode)
    options.ssl_mode = config::to_string(*settings.ssl_mode);
  options.ssl_root_cert = settings.ssl_root_cert.value_or(std::filesystem::path());
  options.preferred = preference_of(settings.address_family);
  options.keepalive_idle = settings.keepalive_idle;
  options.tcp_user_timeout = settings.tcp_user_timeout;
  return options;
}

} // namespace colloquy::db
