#include "cli/doctor_report_sizing.hpp"

#include <algorithm>
#include <array>
#include <fstream>
#include <string_view>

namespace colloquy::cli {
namespace {

/// What lies in /sys/block and is no disk of its own.
constexpr std::array<std::string_view, 9> no_disks{"loop", "ram", "zram", "dm-", "md", "sr", "fd", "nbd", "mtd"};

bool is_disk(const std::string& name) {
  return std::none_of(no_disks.begin(), no_disks.end(), [&](auto prefix) { return name.starts_with(prefix); });
}

bool rotates(const std::filesystem::path& disk) {
  std::ifstream file(disk / "queue" / "rotational");
  return file.get() == '1';
}

std::size_t positive(std::int64_t count) {
  return count > 0 ? static_cast<std::size_t>(count) : 0;
}

std::string line(std::string_view what, const std::string& figure) {
  std::string out = "  " + std::string(what);
  out.resize(std::max<std::size_t>(30, out.size() + 1), ' ');
  return out + figure + "\n";
}

} // namespace

sizing_report make_sizing(const sizing_facts& facts) {
  sizing_report report;
  auto& input = report.input;
  input.cores = facts.cores;
  input.disks = facts.disks;
  // So that concurrency + 20 % is pool_max: as if the present size had been chosen for what is expected.
  input.concurrency = facts.concurrency.value_or(std::max<std::size_t>(1, facts.pool_max * 5 / 6));
  input.pool_max = facts.pool_max;
  if (facts.is_supavisor)
    input.pooler_limit = config::supabase_pooler_limit;
  if (facts.usage) {
    input.max_connections = positive(facts.usage->max_connections);
    input.superuser_reserved_connections = positive(facts.usage->superuser_reserved);
    input.reserved_connections = positive(facts.usage->reserved);
    input.used_by_others = positive(facts.usage->used - facts.usage->ours);
  } else {
    report.notes.emplace_back("the server's limits are not known, so PostgreSQL's defaults are taken");
  }
  if (!facts.is_this_machine)
    report.notes.emplace_back("cores and disks are this machine's unless given: say the database server's with --cores "
                              "and --disks");
  if (!facts.concurrency)
    report.notes.emplace_back("say with --concurrency how many operations you expect at a time; until then it is what "
                              "pool_max = " +
                              std::to_string(facts.pool_max) + " is right for");
  report.advice = config::advise(input);
  return report;
}

std::string to_text(const sizing_report& report) {
  const auto& in = report.input;
  const auto& advice = report.advice;
  std::string out = "\nsizing\n";
  out += line("cores x 2 + disks", std::to_string(advice.by_cores) + "  (" + std::to_string(in.cores) + " cores, " +
                                       std::to_string(in.disks) + " disks)");
  out += line("concurrency + 20 %",
              std::to_string(advice.by_concurrency) + "  (concurrency " + std::to_string(in.concurrency) + ")");
  out += line("concurrency x 1.5 + 5", std::to_string(advice.by_concurrency_ample));
  out += line("left on the server", std::to_string(advice.server_left) + "  (max_connections " +
                                        std::to_string(in.max_connections) + ", reserved " +
                                        std::to_string(in.superuser_reserved_connections + in.reserved_connections) +
                                        ", used by others " + std::to_string(in.used_by_others) + ")");
  if (in.pooler_limit)
    out += line("the pooler's limit", std::to_string(*in.pooler_limit));
  out += line("recommended",
              "pool_min = " + std::to_string(advice.pool_min) + ", pool_max = " + std::to_string(advice.pool_max));
  for (const auto& warning : advice.warnings)
    out += "  warning: " + warning.sentence + "\n";
  for (const auto& note : report.notes)
    out += "  note: " + note + "\n";
  return out;
}

nlohmann::ordered_json to_json(const sizing_report& report) {
  const auto& in = report.input;
  const auto& advice = report.advice;
  nlohmann::ordered_json out{{"cores", in.cores},
                             {"disks", in.disks},
                             {"concurrency", in.concurrency},
                             {"max_connections", in.max_connections},
                             {"superuser_reserved_connections", in.superuser_reserved_connections},
                             {"reserved_connections", in.reserved_connections},
                             {"used_by_others", in.used_by_others},
                             {"by_cores", advice.by_cores},
                             {"by_concurrency", advice.by_concurrency},
                             {"by_concurrency_ample", advice.by_concurrency_ample},
                             {"server_left", advice.server_left},
                             {"limit", advice.limit},
                             {"pool_min", advice.pool_min},
                             {"pool_max", advice.pool_max}};
  if (in.pooler_limit)
    out["pooler_limit"] = *in.pooler_limit;
  out["warnings"] = nlohmann::ordered_json::array();
  for (const auto& warning : advice.warnings)
    out["warnings"].push_back({{"setting", warning.setting}, {"sentence", warning.sentence}});
  out["notes"] = report.notes;
  return out;
}

std::size_t count_disks(const std::filesystem::path& blocks) {
  std::size_t found = 0;
  std::error_code ignored;
  for (std::filesystem::directory_iterator at(blocks, ignored), end; at != end; at.increment(ignored))
    if (is_disk(at->path().filename().string()) && rotates(at->path()))
      ++found;
  return std::max<std::size_t>(1, found);
}

} // namespace colloquy::cli
