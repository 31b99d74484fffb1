#include "config/supabase.hpp"

#include "config/connection_text.hpp"

#include <algorithm>

namespace colloquy::config {

namespace {

constexpr std::string_view transaction_port = "6543";
constexpr std::string_view project_domain = ".supabase.co";
constexpr std::string_view pooler_domain = ".pooler.supabase.com";

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

bool is_asked_for(const settings& from) {
  return from.supabase_project_ref || from.supabase_db_password || from.connection_type;
}

/// "aws-1-us-east-1": newer projects' poolers have another number than 0.
bool names_pooler(std::string_view region) {
  constexpr std::string_view prefix = "aws-";
  if (!region.starts_with(prefix))
    return false;
  region.remove_prefix(prefix.size());
  const auto end = region.find('-');
  return end != 0 && end != std::string_view::npos &&
         std::all_of(region.begin(), region.begin() + static_cast<long>(end), is_digit);
}

/// The reference, or why there is none; both settings may have one, and then they must agree.
std::optional<std::string> find_project(const settings& from, std::vector<supabase_mistake>& mistakes) {
  const auto in_address = from.supabase_url ? project_of(*from.supabase_url) : std::nullopt;
  const auto& given = from.supabase_project_ref;
  if (given && in_address && *given != *in_address)
    mistakes.push_back({"supabase_project_ref", "is not the project in supabase_url (SUPABASE_URL), which is " +
                                                    *in_address + "; take out the one that is wrong"});
  if (given || in_address)
    return given ? given : in_address;
  if (from.supabase_url)
    mistakes.push_back({"supabase_url", "is not of the form https://REF.supabase.co, so the project is not known; set "
                                        "supabase_project_ref (SUPABASE_PROJECT_REF)"});
  else
    mistakes.push_back({"supabase_project_ref", "is needed to connect to Supabase; set SUPABASE_PROJECT_REF or "
                                                "SUPABASE_URL, or the whole connection as SUPABASE_SESSION_POOLER or "
                                                "DATABASE_URL, or an empty COLLOQUY_DATABASE for the embedded server"});
  return std::nullopt;
}

connection_type type_of(const settings& from) {
  if (from.connection_type)
    return *from.connection_type;
  return from.supabase_region ? connection_type::supavisor_session : connection_type::direct;
}

void check_password(const settings& from, std::vector<supabase_mistake>& mistakes) {
  if (from.supabase_db_password)
    return;
  const bool has_key = from.supabase_key || from.supabase_service_role_key;
  mistakes.push_back({"supabase_db_password",
                      "is needed to connect to Supabase; set SUPABASE_DB_PASSWORD to the database's password, from the "
                      "project's Settings, Database" +
                          std::string(has_key ? "; an API key is not one, and PostgreSQL does not take it" : "")});
}

void check_region(const settings& from, std::vector<supabase_mistake>& mistakes) {
  if (type_of(from) == connection_type::supavisor_session && !from.supabase_region)
    mistakes.push_back({"supabase_region", "is needed to connect to Supabase's session pooler; set SUPABASE_REGION, as "
                                           "us-east-1, or DB_CONNECTION_TYPE=direct where there is IPv6"});
}

std::string pooler_of(const std::string& region) {
  return (names_pooler(region) ? "" : "aws-0-") + region + std::string(pooler_domain);
}

std::string uri_of(const settings& from, const std::string& project) {
  const bool pooled = type_of(from) == connection_type::supavisor_session;
  const auto user = pooled ? "postgres." + project : std::string("postgres");
  const auto host = pooled ? pooler_of(*from.supabase_region) : "db." + project + std::string(project_domain);
  return "postgresql://" + user + ":" + percent_encoded(*from.supabase_db_password) + "@" + host + ":5432/postgres";
}

bool is_pooler(std::string_view host) {
  return host.ends_with(pooler_domain);
}

bool is_direct_host(std::string_view host) {
  return host.starts_with("db.") && host.ends_with(project_domain);
}

bool is_supabase(std::string_view host) {
  return is_pooler(host) || host.ends_with(project_domain);
}

std::optional<std::string> contradiction(connection_type type, const host_and_port& end) {
  const bool pooled = type == connection_type::supavisor_session;
  const auto is = "is " + std::string(to_string(type)) + ", but the connection ";
  if (end.port == transaction_port && (pooled || is_supabase(end.host)))
    return is + "has port 6543, which is transaction mode's; its session mode has port 5432";
  if (pooled && is_direct_host(end.host))
    return is + "goes to the database itself (db.REF.supabase.co); the session pooler is "
                "postgres.REF@aws-0-REGION.pooler.supabase.com:5432";
  if (!pooled && is_pooler(end.host))
    return is + "goes to a pooler (" + std::string(pooler_domain.substr(1)) +
           "); set DB_CONNECTION_TYPE=supavisor_session, or take postgres@db.REF.supabase.co:5432";
  return std::nullopt;
}

} // namespace

supabase_connection build_supabase(const settings& from) {
  supabase_connection built;
  if (!is_asked_for(from))
    return built;
  const auto project = find_project(from, built.mistakes);
  check_region(from, built.mistakes);
  check_password(from, built.mistakes);
  if (built.mistakes.empty())
    built.uri = uri_of(from, *project);
  return built;
}

std::optional<std::string> project_of(std::string_view address) {
  for (const std::string_view scheme : {"https://", "http://"}) {
    if (address.starts_with(scheme))
      address.remove_prefix(scheme.size());
  }
  const auto host = address.substr(0, address.find_first_of("/:?#"));
  if (!host.ends_with(project_domain))
    return std::nullopt;
  auto name = host.substr(0, host.size() - project_domain.size());
  if (name.starts_with("db."))
    name.remove_prefix(3);
  const bool is_plain =
      std::all_of(name.begin(), name.end(), [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; });
  return name.empty() || !is_plain ? std::nullopt : std::optional<std::string>(name);
}

std::vector<supabase_mistake> contradictions(const settings& in) {
  std::vector<supabase_mistake> found;
  if (!in.database || !in.connection_type)
    return found;
  for (const auto& end : hosts_of(*in.database)) {
    if (auto why = contradiction(*in.connection_type, end)) {
      found.push_back({"connection_type", *std::move(why)});
      break; // further hosts of one string would only repeat it
    }
  }
  return found;
}

} // namespace colloquy::config
