#include "db/endpoint.hpp"

#include "db/conninfo.hpp"
#include "db/endpoint_transport.hpp"

#include <algorithm>
#include <cstdlib>

namespace colloquy::db {
namespace {

constexpr std::string_view supabase_pooler = ".pooler.supabase.com";
constexpr std::string_view supabase_direct = ".supabase.co";
constexpr std::string_view transaction_port = "6543";

/// Those of libpq's variables that say where to and as whom; the others it reads itself.
void fill_from_environment(option_values& values) {
  static constexpr std::pair<const char*, const char*> places[] = {
      {"host", "PGHOST"}, {"hostaddr", "PGHOSTADDR"}, {"port", "PGPORT"}, {"user", "PGUSER"}, {"dbname", "PGDATABASE"}};
  for (const auto& [keyword, variable] : places)
    if (const auto value = value_or_environment(values, keyword, variable); !value.empty())
      values.emplace(keyword, value);
}

bool uses_service(const option_values& values) {
  return !value_or_environment(values, "service", "PGSERVICE").empty();
}

std::string shown_host(const host_entry& entry) {
  const auto& host = entry.name.empty() ? entry.address : entry.name;
  const auto shown = host.empty()                          ? std::string("(socket)")
                     : host.find(':') != std::string::npos ? "[" + host + "]"
                                                           : host;
  return shown + ":" + (entry.port.empty() ? "5432" : entry.port);
}

std::string shown_endpoint(const option_values& values) {
  const auto user = value_or_environment(values, "user", "PGUSER");
  std::string shown = user.empty() ? "" : user + "@";
  if (uses_service(values) && !values.contains("host") && !values.contains("hostaddr"))
    return shown + "service " + value_or_environment(values, "service", "PGSERVICE");
  const auto entries = host_entries(values);
  for (std::size_t i = 0; i < entries.size(); ++i)
    shown += (i == 0 ? "" : ",") + shown_host(entries[i]);
  const auto database = value_or_environment(values, "dbname", "PGDATABASE");
  return shown + "/" + (database.empty() ? user : database);
}

/// Supavisor passes on nothing of it but reads two things itself: the project, and the search path.
bool pooler_reads(const std::string& options) {
  return options.find("reference=") != std::string::npos || options.find("search_path") != std::string::npos;
}

void drop_startup_options(option_values& values, const std::vector<host_entry>& entries,
                          std::vector<std::string>& warnings) {
  const auto pooler = std::find_if(entries.begin(), entries.end(),
                                   [](const auto& each) { return each.name.ends_with(supabase_pooler); });
  const auto options = value_or_environment(values, "options", "PGOPTIONS");
  if (pooler == entries.end() || options.empty() || pooler_reads(options))
    return;
  values["options"] = ""; // empty and not gone, or libpq would take those of PGOPTIONS
  warnings.push_back("startup options (options, PGOPTIONS) do not come through " + pooler->name +
                     " and are left out: they can be set after connecting only");
}

void warn_of_transaction_mode(const std::vector<host_entry>& entries, std::vector<std::string>& warnings) {
  for (const auto& entry : entries) {
    const bool is_pooler = entry.name.ends_with(supabase_pooler);
    if (entry.port == transaction_port && (is_pooler || entry.name.ends_with(supabase_direct)))
      warnings.push_back(explain_transaction_mode(is_pooler ? endpoint_kind::supavisor : endpoint_kind::pgbouncer,
                                                  entry.name, entry.port));
  }
}

void keep_alive(option_values& values, const endpoint_options& options) {
  values.emplace("gssencmode", "disable"); // it costs a round trip, and libpq does it while blocking
  if (options.keepalive_idle.count() > 0 && !values.contains("keepalives")) {
    const auto seconds = std::to_string(std::chrono::ceil<std::chrono::seconds>(options.keepalive_idle).count());
    values.emplace("keepalives", "1");
    values.emplace("keepalives_idle", seconds);
    values.emplace("keepalives_interval", seconds);
    values.emplace("keepalives_count", "3");
  }
  if (options.tcp_user_timeout.count() > 0)
    values.emplace("tcp_user_timeout", std::to_string(options.tcp_user_timeout.count()));
}

} // namespace

std::string_view to_string(endpoint_kind kind) noexcept {
  switch (kind) {
  case endpoint_kind::embedded:
    return "embedded";
  case endpoint_kind::direct:
    return "direct";
  case endpoint_kind::supavisor:
    return "Supavisor";
  case endpoint_kind::pgbouncer:
    break;
  }
  return "PgBouncer";
}

std::string_view to_string(pooling_mode mode) noexcept {
  return mode == pooling_mode::session ? "session" : "transaction";
}

result<endpoint> prepare_endpoint(const endpoint_options& options) {
  auto parsed = parse_conninfo(options.conninfo);
  if (!parsed)
    return parsed.failure();
  auto values = std::move(parsed).value();
  endpoint prepared;
  if (!uses_service(values))
    fill_from_environment(values);
  const auto entries = host_entries(values);
  if (auto secured = secure_transport(values, entries, options, prepared.warnings); !secured)
    return secured.failure();
  warn_of_transaction_mode(entries, prepared.warnings);
  drop_startup_options(values, entries, prepared.warnings);
  keep_alive(values, options);
  prepared.shown = shown_endpoint(values);
  prepared.conninfo = write_conninfo(values);
  return prepared;
}

endpoint_kind guess_kind(std::string_view host, std::string_view user, std::int32_t reported_pid,
                         std::int32_t backend_pid) noexcept {
  if (reported_pid == backend_pid)
    return endpoint_kind::direct;
  if (host.ends_with(supabase_pooler) || user.starts_with("postgres."))
    return endpoint_kind::supavisor;
  return endpoint_kind::pgbouncer;
}

std::string explain_transaction_mode(endpoint_kind kind, std::string_view host, std::string_view port) {
  std::string why = std::string(host.empty() ? "the pooler" : host);
  if (!port.empty())
    why += ", port " + std::string(port) + ",";
  why += " pools by transaction: prepared statements, settings, LISTEN and locks are lost between transactions; ";
  if (kind == endpoint_kind::supavisor)
    return why + "use its session mode, port 5432";
  if (kind == endpoint_kind::pgbouncer && host.ends_with(supabase_direct))
    return why + "use the database itself, port 5432";
  return why + "set pool_mode = session for this database in pgbouncer.ini, or use the server's own port (mostly 5432)";
}

std::string user_of(const std::string& conninfo) {
  const auto values = parse_conninfo(conninfo);
  return values ? value_or_environment(*values, "user", "PGUSER") : "";
}

std::size_t host_count(const std::string& conninfo) {
  const auto values = parse_conninfo(conninfo);
  return values ? host_entries(*values).size() : 1;
}

std::string rotate_hosts(const std::string& conninfo, std::size_t first) {
  auto values = parse_conninfo(conninfo);
  if (!values)
    return conninfo;
  const auto count = static_cast<std::ptrdiff_t>(host_entries(*values).size());
  const auto by = static_cast<std::ptrdiff_t>(first) % count;
  static constexpr std::pair<const char*, const char*> lists[] = {
      {"host", "PGHOST"}, {"hostaddr", "PGHOSTADDR"}, {"port", "PGPORT"}};
  for (const auto& [keyword, variable] : lists) {
    auto parts = split_list(value_or_environment(*values, keyword, variable));
    if (std::ssize(parts) != count || count == 1)
      continue; // one for all, or a list that libpq will refuse
    std::rotate(parts.begin(), parts.begin() + by, parts.end());
    (*values)[keyword] = join_list(parts);
  }
  return write_conninfo(*values);
}

} // namespace colloquy::db
