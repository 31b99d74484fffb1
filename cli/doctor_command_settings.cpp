// What the settings say, for the first probe.
#include "cli/doctor_command.hpp"

#include "config/assignments.hpp"
#include "db/conninfo.hpp"

#include <algorithm>
#include <cstdlib>

namespace colloquy::cli {
namespace {

/// Names are equal whatever stands for a blank: --pool-max, pool_max.
std::string plain(std::string_view flag) {
  flag.remove_prefix(std::min(flag.size(), flag.find_first_not_of('-')));
  std::string name(flag);
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

std::vector<config::assignment> lines_of(const std::optional<std::filesystem::path>& file, config::dialect kind) {
  const auto text = file ? config::read_settings_file(*file) : result<std::string>(std::string());
  return text ? config::parse_assignments(*text, kind) : std::vector<config::assignment>();
}

bool counts(const config::environment_name& name, bool is_empty) {
  return name.is_own() || !is_empty;
}

std::string in_environment(const config::setting_descriptor& database, const config::sources& from) {
  for (const auto& name : database.environment)
    if (const auto found = from.environment.find(name.name);
        found != from.environment.end() && counts(name, found->second.empty()))
      return "environment " + name.name;
  return "";
}

std::string in_env_file(const config::setting_descriptor& database, const config::sources& from) {
  const auto lines = lines_of(from.env_file, config::dialect::env_file);
  for (const auto& name : database.environment)
    for (const auto& line : lines)
      if (line.name == name.name && counts(name, config::as_written(line.value).empty()))
        return from.env_file->string() + " " + name.name;
  return "";
}

std::string in_file(const config::setting_descriptor& database, const config::sources& from) {
  for (const auto& line : lines_of(from.file, config::dialect::own_file))
    if (line.name == database.name)
      return "file " + from.file->string() + ", line " + std::to_string(line.line);
  return "";
}

std::string where_set(const config::setting_descriptor& database, const config::sources& from) {
  const auto in_flags = std::any_of(from.flags.begin(), from.flags.end(),
                                    [&](const auto& flag) { return plain(flag.first) == database.name; });
  if (in_flags)
    return "flag --database";
  for (const auto look : {in_environment, in_env_file, in_file})
    if (auto found = look(database, from); !found.empty())
      return found;
  return "";
}

void add_key(std::string_view setting, const std::optional<std::string>& key, configuration_facts& facts) {
  if (key && !key->empty())
    facts.keys.emplace_back(setting, config::shape_of(*key));
}

} // namespace

std::string source_of_database(const config::settings& settings, const config::sources& from) {
  const auto* database = config::find_setting("database");
  const auto where = database ? where_set(*database, from) : "";
  if (!settings.database)
    return "the embedded server, for " + (where.empty() ? "no database is set" : where + " is empty");
  return where.empty() ? "the settings for a Supabase project" : where;
}

configuration_facts configuration_of(const config::settings& settings, const config::sources& from,
                                     const std::string& conninfo) {
  configuration_facts facts;
  facts.source = source_of_database(settings, from);
  facts.is_embedded = !settings.database;
  add_key("SUPABASE_KEY", settings.supabase_key, facts);
  add_key("SUPABASE_SERVICE_ROLE_KEY", settings.supabase_service_role_key, facts);
  if (const auto values = db::parse_conninfo(conninfo)) {
    const auto shape = config::shape_of(db::value_or_environment(*values, "password", "PGPASSWORD"));
    if (shape.kind != config::key_kind::unknown)
      facts.password_is_key = shape;
  }
  return facts;
}

} // namespace colloquy::cli
