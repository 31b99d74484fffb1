// Judging what the server tells to somebody who is logged in. Pure.
#pragma once

#include "cli/doctor_report.hpp"
#include "db/doctor_facts.hpp"

#include <chrono>
#include <cstddef>
#include <string>

namespace colloquy::cli {

/// The server's clock may differ from ours by this much before it is worth a word.
inline constexpr std::chrono::milliseconds clock_difference_max{2000};

/// Parts of the server's connections in use, in percent.
inline constexpr std::int64_t connections_many = 70;
inline constexpr std::int64_t connections_nearly_all = 90;

probe_result judge_pooling(const db::doctor::pooling_facts& facts);
probe_result judge_version(const db::doctor::version_facts& facts);
probe_result judge_rights(const db::doctor::rights_facts& facts, int server_version);
probe_result judge_settings(const db::doctor::settings_facts& facts);
probe_result judge_clocks(const db::doctor::clock_facts& facts);

/// Ours that the connections are held against.
struct connection_wishes {
  std::size_t pool_max = 0;
  std::chrono::milliseconds idle_in_transaction_timeout{0};
};
probe_result judge_usage(const db::doctor::usage_facts& facts, const connection_wishes& wishes);

probe_result judge_schema(const db::doctor::schema_facts& facts, const std::string& schema);
probe_result judge_writing(const db::doctor::write_facts& facts);

/// What cannot be seen from here, and where it can.
probe_result judge_dashboard(bool is_supabase);

} // namespace colloquy::cli
