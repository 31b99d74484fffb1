#include "cli/migrate_command.hpp"

#include "cli/exit_code.hpp"
#include "db/document_table_adoption.hpp"
#include "db/startup.hpp"

#include <nlohmann/json.hpp>

#include <iostream>

namespace colloquy::cli {
namespace {

int fail(const error& why) {
  std::cerr << "colloquy: " << why.message << '\n';
  return exit_code_of(why);
}

int print_sql(const config::settings& settings) {
  auto sql = db::print_sql(settings.schema);
  if (!sql)
    return fail(sql.failure());
  const db::document_tables tables(settings);
  if (const auto problem = db::find_name_problem(tables))
    return fail(*problem);
  std::cout << *sql << db::print_adoption_sql(settings.schema, tables) << std::flush;
  return std::cout ? exit_done : exit_failed;
}

void report(const db::migration_report& done, bool json) {
  if (json) {
    nlohmann::ordered_json line;
    line["version"] = done.version;
    line["applied"] = done.applied;
    line["prepared"] = done.prepared;
    line["adopted"] = done.adopted;
    std::cout << line.dump() << std::endl;
    return;
  }
  for (const auto& name : done.applied)
    std::cout << "applied " << name << '\n';
  for (const auto& name : done.adopted)
    std::cout << "made or adopted table " << name << '\n';
  std::cout << (done.applied.empty() ? "nothing to apply; " : "") << "the schema is at version " << done.version
            << std::endl;
}

} // namespace

int run_migrate(const migrate_arguments& arguments, const config::settings& settings) {
  if (arguments.print_sql)
    return print_sql(settings);
  auto opened = db::open_database(settings);
  if (!opened)
    return fail(opened.failure());
  for (const auto& warning : opened->warnings)
    std::cerr << "colloquy: warning: " << warning << '\n';
  auto migrated = db::migrate_database(*opened, settings);
  auto stopped = opened->stop();
  if (!migrated)
    return fail(migrated.failure());
  report(*migrated, arguments.json);
  return stopped ? exit_done : fail(stopped.failure());
}

} // namespace colloquy::cli
