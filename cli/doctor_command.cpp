#include "cli/doctor_command.hpp"

#include "cli/doctor_report.hpp"
#include "cli/doctor_report_server.hpp"
#include "cli/doctor_report_sizing.hpp"
#include "cli/exit_code.hpp"
#include "db/configured_endpoint.hpp"
#include "db/doctor_network.hpp"
#include "db/doctor_schema.hpp"
#include "db/doctor_server.hpp"
#include "db/doctor_session.hpp"
#include "db/doctor_tls.hpp"
#include "db/doctor_write.hpp"
#include "db/running_work.hpp"
#include "db/startup.hpp"
#include "db/symptoms.hpp"

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <thread>
#include <utility>

namespace colloquy::cli {
namespace {

using namespace db::doctor;
using clock = std::chrono::steady_clock;

constexpr const char* not_logged_in = "nobody is logged in";
constexpr const char* by_transaction = "the pooler pools by transaction";

/// The login has its own deadline; only if it does not keep that, it is left behind.
constexpr milliseconds login_grace{250};

login_facts never_ended(milliseconds took) {
  return {db::make_failure("", "timeout expired: libpq has not come back", true), "", "", false, took};
}

bool wants_colour() {
  const char* refused = std::getenv("NO_COLOR");
  return ::isatty(STDOUT_FILENO) == 1 && (refused == nullptr || *refused == '\0');
}

/// Says each result as it comes, so that somebody who waits sees what for.
class spoken_report {
public:
  explicit spoken_report(bool json)
    : json_(json)
    , coloured_(!json && wants_colour()) {}

  void add(probe_result probe) {
    if (!json_)
      std::cout << to_text(probe, coloured_) << std::flush;
    report_.probes.push_back(std::move(probe));
  }

  void add_sizing(const sizing_report& sizing) {
    if (!json_)
      std::cout << to_text(sizing);
    report_.sizing = to_json(sizing);
  }

  int finish() {
    std::cout << (json_ ? to_json(report_) + "\n" : closing_text(report_, coloured_)) << std::flush;
    return verdict_of(report_) == "failed" || !std::cout ? exit_failed : exit_done;
  }

private:
  const bool json_;
  const bool coloured_;
  doctor_report report_;
};

class examination {
public:
  examination(const doctor_arguments& arguments, const config::settings& settings, spoken_report& report)
    : arguments_(arguments)
    , settings_(settings)
    , report_(report) {}

  void run(configuration_facts configuration, const result<db::database>& opened);

private:
  bool configure(configuration_facts configuration, const result<db::database>& opened);
  void examine_way();
  void examine_tls(const reach_facts& reached);
  void log_in(const reach_facts& reached);
  void examine_server();
  void examine_schema();
  void advise() const;

  template <class Probe>
  void probe(const char* name, Probe judged);
  void skip(std::initializer_list<const char*> names, const char* because) {
    for (const auto* name : names)
      report_.add(skipped(name, because));
  }
  bool is_logged_in() const { return connection_ && !connection_->failure(); }

  const doctor_arguments& arguments_;
  const config::settings& settings_;
  spoken_report& report_;
  db::endpoint endpoint_;
  std::string reachable_; ///< the connection string with addresses; a secret
  std::unique_ptr<session> connection_;
  std::optional<pooling_facts> pooling_;
  std::optional<usage_facts> usage_;
  bool may_serve_ = false; ///< the login may become the service's role
};

void examination::run(configuration_facts configuration, const result<db::database>& opened) {
  if (configure(std::move(configuration), opened))
    examine_way();
  else
    skip({"dns", "tcp", "tls", "login"}, "there is no connection to try");
  examine_server();
  examine_schema();
  const bool is_supabase = endpoint_.shown.find(".supabase.co") != std::string::npos;
  report_.add(judge_dashboard(is_supabase));
  if (arguments_.advise)
    advise();
}

bool examination::configure(configuration_facts configuration, const result<db::database>& opened) {
  if (!opened) {
    configuration.failure = opened.failure().message;
  } else if (auto prepared = db::prepare_endpoint(db::configured_endpoint(settings_, opened->service_conninfo))) {
    endpoint_ = std::move(*prepared);
    configuration.shown = endpoint_.shown;
    configuration.warnings = endpoint_.warnings;
  } else {
    configuration.failure = prepared.failure().message;
  }
  report_.add(judge_configuration(configuration));
  return !configuration.failure;
}

void examination::examine_way() {
  const auto names = look_up(endpoint_.conninfo);
  const auto judged = judge_names(names);
  report_.add(judged);
  if (judged.status == probe_status::fail)
    return skip({"tcp", "tls", "login"}, "no address is known");
  const auto reached = reach(names);
  const auto judged_reach = judge_reach(reached);
  report_.add(judged_reach);
  if (judged_reach.status == probe_status::fail)
    return skip({"tls", "login"}, "nobody can be reached");
  examine_tls(reached);
  log_in(reached);
}

/// One handshake with each host, at its first address that is open.
void examination::examine_tls(const reach_facts& reached) {
  const auto until = clock::now() + probe_limit;
  std::vector<tls_facts> all;
  for (const auto& door : reached.doors) {
    const bool is_done = std::any_of(all.begin(), all.end(), [&](const tls_facts& each) {
      return each.host == door.host && each.port == door.port;
    });
    if (!door.is_open() || door.family == db::doctor::address_family::unix_socket || is_done)
      continue;
    const auto left = std::chrono::duration_cast<milliseconds>(until - clock::now());
    all.push_back(shake_hands(endpoint_.conninfo, door, std::max(milliseconds{1}, left)));
  }
  report_.add(all.empty() ? skipped("tls", "a unix socket, or a host that only libpq knows, is not encrypted here")
                          : judge_tls(all));
}

void examination::log_in(const reach_facts& reached) {
  reachable_ =
      through_open_doors(endpoint_.conninfo, reached, db::configured_endpoint(settings_, endpoint_.conninfo).preferred);
  const auto begun = clock::now();
  // libpq itself may block: a host from a service file is looked up by it, files may lie on a network.
  db::running_work<std::unique_ptr<session>> attempt(
      [conninfo = reachable_] { return std::make_unique<session>(conninfo, in(probe_limit)); });
  if (auto ended = attempt.wait_until(begun + probe_limit + login_grace))
    connection_ = std::move(*ended);
  const auto took = std::chrono::duration_cast<milliseconds>(clock::now() - begun);
  report_.add(judge_login(connection_ ? describe_login(*connection_, took) : never_ended(took)));
  if (connection_ && connection_->failure())
    connection_.reset();
}

/// Each on the connection that is there; once it is lost, the rest is skipped.
template <class Probe>
void examination::probe(const char* name, Probe judged) {
  if (!is_logged_in())
    return report_.add(skipped(name, connection_ && connection_->failure() ? "the connection is lost" : not_logged_in));
  const auto begun = clock::now();
  auto result = judged();
  if (result.took.count() == 0)
    result.took = std::chrono::duration_cast<milliseconds>(clock::now() - begun);
  report_.add(std::move(result));
}

void examination::examine_server() {
  if (!is_logged_in())
    return skip({"pooler", "version", "rights", "settings", "clocks", "connections"}, not_logged_in);
  probe("pooler", [&] {
    pooling_ = look_at_pooling(*connection_, reachable_, !settings_.database);
    return judge_pooling(*pooling_);
  });
  probe("version", [&] { return judge_version(look_at_version(*connection_)); });
  probe("rights", [&] {
    const auto rights = look_at_rights(*connection_);
    may_serve_ = !rights.roles.empty() && rights.roles.front().reachable;
    return judge_rights(rights, connection_->server_version());
  });
  probe("settings", [&] {
    if (pooling_->pools_by_transaction())
      return skipped("settings", by_transaction);
    const bool is_direct = pooling_->kind == db::endpoint_kind::direct || pooling_->kind == db::endpoint_kind::embedded;
    if (!is_direct && (pooling_->failure || pooling_->second_failure)) // else others might get our settings
      return skipped("settings", "it is not known whether the pooler pools by session");
    auto target = db::service_target(
        "", settings_.schema, settings_.application_name,
        {settings_.statement_timeout, settings_.idle_in_transaction_timeout, settings_.lock_timeout});
    if (!may_serve_) // what is missing has been said
      std::erase_if(target.settings, [](const auto& each) { return each.first == "role"; });
    return judge_settings(try_settings(*connection_, target));
  });
  probe("clocks", [&] { return judge_clocks(compare_clocks(*connection_)); });
  probe("connections", [&] {
    usage_ = look_at_usage(*connection_, settings_.application_name);
    return judge_usage(*usage_, {settings_.pool_max, settings_.idle_in_transaction_timeout});
  });
}

void examination::examine_schema() {
  bool is_migrated = false;
  probe("schema", [&] {
    const auto facts =
        look_at_schema(*connection_, reachable_, settings_.schema, probe_limit, db::document_tables(settings_));
    is_migrated = !facts.state || (facts.state->missing.empty() && facts.state->version > 0);
    return judge_schema(facts, settings_.schema);
  });
  if (is_logged_in() && !(may_serve_ && is_migrated))
    return report_.add(
        skipped("read_write", may_serve_ ? "there are no tables" : "the login may not become the service"));
  probe("read_write", [&] { return judge_writing(try_writing(*connection_, settings_.schema)); });
}

void examination::advise() const {
  sizing_facts facts;
  facts.cores = arguments_.cores.value_or(std::max(1u, std::thread::hardware_concurrency()));
  facts.disks = arguments_.disks.value_or(count_disks("/sys/block"));
  facts.concurrency = arguments_.concurrency;
  facts.pool_max = settings_.pool_max;
  facts.is_this_machine = !settings_.database || (arguments_.cores && arguments_.disks);
  facts.is_supavisor = pooling_ && pooling_->kind == db::endpoint_kind::supavisor;
  if (usage_ && !usage_->failure)
    facts.usage = usage_;
  report_.add_sizing(make_sizing(facts));
}

} // namespace

int run_doctor(const doctor_arguments& arguments, const config::settings& settings, const config::sources& from) {
  spoken_report report(arguments.json);
  auto opened = db::open_database(settings);
  if (opened && opened->embedded)
    if (auto ready = db::make_ready(*opened, settings); !ready)
      std::cerr << "colloquy: " << ready.failure().message << '\n'; // the probes will say what is missing
  {
    const auto conninfo = opened ? opened->service_conninfo : settings.database.value_or("");
    examination examined(arguments, settings, report);
    examined.run(configuration_of(settings, from, conninfo), opened);
  } // closes its connection before the server stops
  const int code = report.finish();
  if (auto stopped = opened ? opened->stop() : result<void>(); !stopped) {
    std::cerr << "colloquy: " << stopped.failure().message << '\n';
    return exit_failed;
  }
  return code;
}

} // namespace colloquy::cli
