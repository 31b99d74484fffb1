#include "db/startup.hpp"

#include "db/configured_endpoint.hpp"
#include "db/doctor_network.hpp"
#include "db/doctor_server.hpp"
#include "db/doctor_session.hpp"
#include "db/document_table_adoption.hpp"
#include "db/endpoint.hpp"
#include "db/running_work.hpp"

#include <utility>

namespace colloquy::db {

result<void> database::stop() {
  if (!embedded)
    return {};
  auto stopped = embedded->stop();
  embedded.reset();
  return stopped;
}

result<database> open_database(const config::settings& settings) {
  if (settings.database) {
    auto endpoint = prepare_endpoint(configured_endpoint(settings, *settings.database));
    if (!endpoint)
      return std::move(endpoint.failure());
    return database{std::nullopt, endpoint->conninfo, endpoint->conninfo, endpoint->shown, endpoint->warnings};
  }
  embedded_options options;
  options.data_dir = settings.data_dir;
  options.bin_dir = settings.postgres_bin_dir.value_or(std::filesystem::path());
  options.run_as_user = settings.embedded_user;
  auto started = embedded_server::start(options);
  if (!started)
    return std::move(started.failure());
  database opened;
  opened.service_conninfo = started->service_conninfo();
  opened.owner_conninfo = started->owner_conninfo();
  opened.shown = "of our own in " + settings.data_dir.string();
  opened.embedded.emplace(std::move(*started));
  return opened;
}

result<migration_report> migrate_database(const database& opened, const config::settings& settings) {
  std::vector<std::string> logins;
  if (opened.embedded)
    logins.emplace_back("colloquy"); // whom service_conninfo() logs in as
  auto report = migrate(opened.owner_conninfo, settings.schema, logins);
  if (!report)
    return report;
  auto adopted = adopt_store_tables(opened.owner_conninfo, settings.schema, document_tables(settings));
  if (!adopted)
    return std::move(adopted.failure());
  report->adopted = std::move(*adopted);
  return report;
}

namespace {

result<void> check_store_tables(const database& opened, const config::settings& settings) {
  auto missing = find_missing_of_store_tables(opened.service_conninfo, settings.schema, document_tables(settings));
  if (!missing)
    return std::move(missing.failure());
  if (missing->empty())
    return {};
  std::string message = "the database " + opened.shown + " lacks of the tables of stores that have a prefix:";
  for (const auto& each : *missing)
    message += "\n  " + each;
  return error{error_code::conflict, message + "\nrun `colloquy migrate` with the same settings"};
}

} // namespace

result<void> make_ready(const database& opened, const config::settings& settings) {
  if (opened.embedded) {
    if (auto migrated = migrate_database(opened, settings); !migrated)
      return std::move(migrated.failure());
    return opened.embedded->close_catalogs();
  }
  auto state = check_schema(opened.service_conninfo, settings.schema);
  if (!state)
    return std::move(state.failure());
  if (!state->usable())
    return error{error_code::conflict, "the database " + opened.shown + " is not ready:\n" +
                                           state->describe(settings.schema) +
                                           "\nrun `colloquy migrate` with the same settings"};
  return check_store_tables(opened, settings);
}

result<void> refuse_transaction_mode(const database& opened, const config::settings& settings) {
  if (opened.embedded)
    return {};
  const auto names = doctor::look_up(opened.service_conninfo);
  const auto reached = doctor::reach(names);
  const auto conninfo = doctor::through_open_doors(opened.service_conninfo, reached,
                                                   configured_endpoint(settings, opened.service_conninfo).preferred);
  // libpq itself may block where only it knows the host.
  running_work<std::optional<doctor::pooling_facts>> look([conninfo]() -> std::optional<doctor::pooling_facts> {
    doctor::session connection(conninfo, doctor::in(doctor::probe_limit));
    if (connection.failure())
      return std::nullopt;
    return doctor::look_at_pooling(connection, conninfo, false);
  });
  const auto ended = look.wait_until(doctor::in(3 * doctor::probe_limit));
  if (!ended || !*ended || !(*ended)->pools_by_transaction())
    return {};
  const auto& facts = **ended;
  const bool is_pooler = facts.kind == endpoint_kind::supavisor || facts.kind == endpoint_kind::pgbouncer;
  return error{error_code::invalid_request,
               "database is " + opened.shown + ": " +
                   explain_transaction_mode(is_pooler ? facts.kind : endpoint_kind::pgbouncer, facts.host, facts.port)};
}

} // namespace colloquy::db
