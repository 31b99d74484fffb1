#include "db/endpoint_transport.hpp"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>

namespace colloquy::db {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view modes[] = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"};

/// Where the usual systems keep the authorities that they trust.
constexpr const char* system_bundles[] = {
    "/etc/ssl/certs/ca-certificates.crt",                // Debian, Ubuntu, Alpine, Arch
    "/etc/pki/ca-trust/extracted/pem/tls-ca-bundle.pem", // Fedora, Red Hat
    "/etc/pki/tls/certs/ca-bundle.crt",                  // older ones of these
    "/etc/ssl/ca-bundle.pem",                            // SUSE
    "/etc/ssl/cert.pem",                                 // Alpine, macOS, the BSDs
};

bool is_there(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value ? value : "";
}

/// As libpq finds it: the user's, whatever HOME says, if HOME says nothing.
fs::path home() {
  if (auto set = environment("HOME"); !set.empty())
    return set;
  passwd entry{};
  passwd* found = nullptr;
  char buffer[4096];
  return getpwuid_r(geteuid(), &entry, buffer, sizeof buffer, &found) == 0 && found ? found->pw_dir : "";
}

std::string system_bundle() {
  const auto* found = std::find_if(std::begin(system_bundles), std::end(system_bundles), is_there);
  return found == std::end(system_bundles) ? "" : *found;
}

/// Both the name that is asked for and the address that is used must be local: a tunnel's end at loopback still has to
/// prove to be the host that was named.
bool is_local(const host_entry& entry) {
  return db::is_local(entry.name) && db::is_local(entry.address);
}

std::string shown(const host_entry& entry) {
  return entry.name.empty() ? entry.address : entry.name;
}

bool comes_from_service(const option_values& values) {
  return !value_or_environment(values, "service", "PGSERVICE").empty();
}

/// Empty where libpq is to choose: prefer for a local host, or what a service file says, which goes before the
/// environment.
std::string chosen_mode(const option_values& values, const endpoint_options& options, bool all_local) {
  if (const auto given = values.find("sslmode"); given != values.end() && !given->second.empty())
    return given->second;
  if (options.ssl_mode && !options.ssl_mode->empty())
    return *options.ssl_mode;
  if (comes_from_service(values))
    return "";
  if (auto set = environment("PGSSLMODE"); !set.empty())
    return set;
  return all_local ? "" : "verify-full";
}

/// Empty where there is none at all.
std::string chosen_authorities(const option_values& values, const endpoint_options& options) {
  std::string chosen;
  if (const auto given = values.find("sslrootcert"); given != values.end())
    chosen = given->second;
  for (const auto& next : {options.ssl_root_cert.string(), environment("PGSSLROOTCERT"), environment("SSL_CERT_PATH")})
    if (chosen.empty())
      chosen = next;
  if (chosen.empty())
    if (const auto own = home() / ".postgresql" / "root.crt"; is_there(own))
      chosen = own.string();
  return chosen.empty() || chosen == "system" ? system_bundle() : chosen;
}

std::string weakness(const std::string& mode) {
  if (mode == "require")
    return "encrypts without knowing to whom";
  if (mode == "verify-ca")
    return "does not check that the certificate is this host's";
  return "may send everything, readable, to whoever answers";
}

} // namespace

result<void> secure_transport(option_values& values, const std::vector<host_entry>& entries,
                              const endpoint_options& options, std::vector<std::string>& warnings) {
  const auto away = std::find_if_not(entries.begin(), entries.end(), [](const auto& each) { return is_local(each); });
  const auto mode = chosen_mode(values, options, away == entries.end());
  if (mode.empty() && comes_from_service(values))
    warnings.emplace_back("the connection comes from a service file, which alone says whether it is encrypted: write "
                          "sslmode=verify-full there");
  if (mode.empty())
    return {};
  if (std::find(std::begin(modes), std::end(modes), mode) == std::end(modes))
    return error{error_code::invalid_request, "sslmode \"" + mode +
                                                  "\" is none of disable, allow, prefer, require, "
                                                  "verify-ca and verify-full"};
  values["sslmode"] = mode;
  if (mode != "verify-full" && away != entries.end())
    warnings.push_back("sslmode=" + mode + " to " + shown(*away) + " " + weakness(mode) +
                       "; verify-full is safe, with ssl_root_cert (SSL_CERT_PATH) for an authority of your own");
  if (!mode.starts_with("verify-"))
    return {};
  const auto authorities = chosen_authorities(values, options);
  if (authorities.empty())
    warnings.push_back("sslmode=" + mode + " has no authorities to check against: set ssl_root_cert (SSL_CERT_PATH)");
  else
    values["sslrootcert"] = authorities;
  return {};
}

} // namespace colloquy::db
