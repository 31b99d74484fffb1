#include "config/settings.hpp"

#include "config/redact.hpp"
#include "config/setting_kinds.hpp"
#include "config/settings_table.hpp"

#include <algorithm>

namespace colloquy::config {

std::string_view to_string(log_level level) noexcept {
  switch (level) {
  case log_level::trace:
    return "trace";
  case log_level::debug:
    return "debug";
  case log_level::info:
    return "info";
  case log_level::warn:
    return "warn";
  case log_level::error:
    return "error";
  }
  return "info";
}

std::string_view to_string(log_format format) noexcept {
  return format == log_format::json ? "json" : "text";
}

std::string_view to_string(ssl_mode mode) noexcept {
  switch (mode) {
  case ssl_mode::disable:
    return "disable";
  case ssl_mode::allow:
    return "allow";
  case ssl_mode::prefer:
    return "prefer";
  case ssl_mode::require:
    return "require";
  case ssl_mode::verify_ca:
    return "verify-ca";
  case ssl_mode::verify_full:
    return "verify-full";
  }
  return "verify-full";
}

std::string_view to_string(address_family family) noexcept {
  switch (family) {
  case address_family::any:
    return "any";
  case address_family::ipv4:
    return "ipv4";
  case address_family::ipv6:
    return "ipv6";
  }
  return "any";
}

std::string_view to_string(connection_type type) noexcept {
  switch (type) {
  case connection_type::direct:
    return "direct";
  case connection_type::supavisor_session:
    return "supavisor_session";
  }
  return "direct";
}

std::span<const setting_descriptor> descriptors() {
  static const std::vector<setting_descriptor> table = make_table();
  return table;
}

const setting_descriptor* find_setting(std::string_view name) {
  for (const auto& each : descriptors()) {
    if (each.name == name)
      return &each;
  }
  return nullptr;
}

bool is_environment_name(std::string_view name) {
  return std::any_of(descriptors().begin(), descriptors().end(), [&](const setting_descriptor& each) {
    return std::any_of(each.environment.begin(), each.environment.end(),
                       [&](const environment_name& known) { return known.name == name; });
  });
}

std::string expected(const setting_descriptor& descriptor) {
  return kind_phrase(descriptor.kind) + ", " + descriptor.allowed;
}

std::string shown_text(const setting_descriptor& descriptor, std::string_view text) {
  switch (descriptor.secret) {
  case secrecy::none:
    return std::string(text);
  case secrecy::connection:
    return redact_connection(text);
  case secrecy::whole:
    break;
  }
  // That there is none is no secret, and worth seeing.
  return std::string(text.empty() ? text : hidden);
}

std::string shown_value(const setting_descriptor& descriptor, const settings& values) {
  return shown_text(descriptor, descriptor.write(values));
}

} // namespace colloquy::config
