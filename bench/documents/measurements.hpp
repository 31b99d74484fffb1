// What the documents' bench measures. Throws bench_failure if something was wrong, not slow.
#pragma once

#include "bench/append_workload.hpp"
#include "bench/bench_database.hpp"
#include "bench/histogram.hpp"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace colloquy::bench {

struct documents_options {
  std::size_t documents = 1'000'000; ///< of all tenants together, and once more of one tenant alone, for its pages
  std::size_t tenants = 1000;
  std::size_t rounds = 5;
  std::size_t finds = 5000; ///< in each round, each way
  std::size_t concurrency = 1;
  std::size_t pages = 50; ///< of each kind
  unsigned seed = 1;
  std::optional<std::filesystem::path> data_dir; ///< nothing: a temporary folder, removed at the end
};

/// How many times as long the service may take as SQL by hand.
inline constexpr double find_ratio_max = 1.5;

/// One way of finding, each round of it by the service and by pgbench.
struct finding {
  std::string what;
  std::vector<histogram> service;
  std::vector<histogram> by_hand;
};

/// The same pages of one filter over and over.
struct paging {
  std::string filter;
  std::int64_t matches = 0;
  histogram first;
  histogram second;     ///< by the cursor of the first
  histogram middle;     ///< by the cursor of the page before, half-way through
  histogram deep;       ///< the same near the end
  histogram deep_place; ///< the same page, by a place instead of a cursor
};

struct documents_figures {
  facts server;
  double load_before = 0; ///< processes that ran or waited, over a minute
  double load_after = 0;
  std::vector<finding> findings;
  std::vector<paging> pagings;
};

documents_figures measure_documents(const documents_options& options, const interruption_check& check);

std::string to_text(const documents_figures& found, const documents_options& options);
std::string to_json(const documents_figures& found, const documents_options& options); ///< one line

documents_options documents_self_check_options();
void check_report(const documents_figures& found, const documents_options& options);

} // namespace colloquy::bench
