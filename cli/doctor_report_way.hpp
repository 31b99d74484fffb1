// Judging what was found between the settings and the login. Pure.
#pragma once

#include "cli/doctor_report.hpp"
#include "config/key_shape.hpp"
#include "db/doctor_facts.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace colloquy::cli {

/// Where the connection comes from, and what it is. No secrets.
struct configuration_facts {
  std::string source;                                          ///< "environment DATABASE_URL"
  std::string shown;                                           ///< user@host:port/database
  bool is_embedded = false;                                    ///< no database is set
  std::vector<std::string> warnings;                           ///< of db::prepare_endpoint
  std::optional<std::string> failure;                          ///< why there is no connection to try
  std::vector<std::pair<std::string, config::key_shape>> keys; ///< API keys by their setting's name
  std::optional<config::key_shape> password_is_key;            ///< the password has the form of an API key
};

probe_result judge_configuration(const configuration_facts& facts);
probe_result judge_names(const db::doctor::name_facts& facts);
probe_result judge_reach(const db::doctor::reach_facts& facts);
/// One entry for each host that can be reached over TCP.
probe_result judge_tls(const std::vector<db::doctor::tls_facts>& all);
probe_result judge_login(const db::doctor::login_facts& facts);

} // namespace colloquy::cli
