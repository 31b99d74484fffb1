#include "db/embedded_programs.hpp"

#include <algorithm>
#include <charconv>
#include <cstdlib>
#include <string_view>
#include <system_error>
#include <unistd.h>
#include <vector>

namespace colloquy::db::embedded {

namespace {

namespace fs = std::filesystem;

struct candidate {
  fs::path folder;
  int named_major = 0; ///< what the path says; 0 if it says nothing
};

/// The number at the end of a name such as "15" or "pgsql-16", else 0.
int number_at_end(std::string_view name) {
  const auto last = name.find_last_not_of("0123456789");
  const auto digits = name.substr(last == std::string_view::npos ? 0 : last + 1);
  int number = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), number);
  return number;
}

/// Every <parent>/<prefix>NN/<below>, newest first.
void add_numbered(std::vector<candidate>& all, const fs::path& parent, std::string_view prefix, const fs::path& below) {
  std::vector<candidate> found;
  std::error_code ignored;
  for (fs::directory_iterator entry(parent, ignored), end; entry != end; entry.increment(ignored)) {
    const auto name = entry->path().filename().string();
    if (name.starts_with(prefix) && number_at_end(name) > 0)
      found.push_back({entry->path() / below, number_at_end(name)});
  }
  std::ranges::sort(found, std::ranges::greater{}, &candidate::named_major);
  all.insert(all.end(), found.begin(), found.end());
}

std::vector<candidate> usual_places() {
  std::vector<candidate> all;
  add_numbered(all, "/usr/lib/postgresql", "", "bin"); // Debian, Ubuntu
  add_numbered(all, "/usr", "pgsql-", "bin");          // PostgreSQL's own packages for Red Hat
  add_numbered(all, "/usr/libexec", "postgresql", ""); // Alpine
  all.push_back({"/usr/local/pgsql/bin", 0});          // built from source
  const auto* path = std::getenv("PATH");
  std::string_view rest = path == nullptr ? "" : path;
  while (!rest.empty()) {
    const auto colon = rest.find(':');
    const fs::path folder(rest.substr(0, colon));
    if (folder.is_absolute())
      all.push_back({folder, 0});
    rest.remove_prefix(colon == std::string_view::npos ? rest.size() : colon + 1);
  }
  return all;
}

bool has_programs(const fs::path& folder) {
  return ::access((folder / "postgres").c_str(), X_OK) == 0 && ::access((folder / "initdb").c_str(), X_OK) == 0;
}

/// Asks the program itself: a path may say nothing, or lie.
result<int> major_of(const fs::path& folder, const program_search& search, steady_time deadline) {
  child_plan plan;
  plan.program = folder / "postgres";
  plan.arguments = {"--version"};
  plan.run_as = search.run_as;
  auto done = run_to_end(std::move(plan), deadline);
  if (!done)
    return done.failure();
  constexpr std::string_view before = "postgres (PostgreSQL) ";
  const auto at = done->text.find(before);
  int major = 0;
  if (at != std::string::npos) {
    const auto* digits = done->text.data() + at + before.size();
    std::from_chars(digits, done->text.data() + done->text.size(), major);
  }
  if (major == 0)
    return error{error_code::invalid_request, (folder / "postgres").string() + " --version ended with " +
                                                  describe_exit(done->status) + " and named no version: " + done->text};
  return major;
}

std::string install_advice(int major) {
  return "apt install postgresql" + (major == 0 ? "" : "-" + std::to_string(major));
}

error not_found(const program_search& search) {
  const auto place = search.only_here.empty()
                         ? "/usr/lib/postgresql/*/bin, /usr/pgsql-*/bin, /usr/libexec/postgresql*, "
                           "/usr/local/pgsql/bin or PATH"
                         : search.only_here.string();
  return {error_code::invalid_request, "PostgreSQL's server programs (initdb and postgres) were not found in " + place +
                                           "; install them (" + install_advice(search.cluster_major.value_or(0)) +
                                           "), or name a database of your own with --database"};
}

error wrong_version(const program_search& search, const server_programs& other) {
  const auto here = "PostgreSQL " + std::to_string(other.major) + " (" + other.folder.string() + ")";
  if (!search.cluster_major)
    return {error_code::invalid_request, here + " is too old: install " + std::to_string(oldest_major) + " or newer (" +
                                             install_advice(oldest_major) + ")"};
  const auto wanted = std::to_string(*search.cluster_major);
  return {error_code::invalid_request, "the data in " + search.cluster.string() + " belongs to PostgreSQL " + wanted +
                                           ", but what is found here is " + here + "; install PostgreSQL " + wanted +
                                           " (" + install_advice(*search.cluster_major) +
                                           "), or move that folder away to begin with an empty one"};
}

} // namespace

result<server_programs> find_programs(const program_search& search, steady_time deadline) {
  const auto candidates =
      search.only_here.empty() ? usual_places() : std::vector<candidate>{{fs::absolute(search.only_here), 0}};
  std::optional<server_programs> unsuitable;
  std::optional<error> broken;
  for (const auto& place : candidates) {
    if (!has_programs(place.folder))
      continue;
    const bool named_otherwise =
        search.cluster_major && place.named_major != 0 && place.named_major != *search.cluster_major;
    auto major = named_otherwise ? result<int>(place.named_major) : major_of(place.folder, search, deadline);
    if (!major) {
      broken = major.failure();
      continue;
    }
    const server_programs found{place.folder, *major};
    if (search.cluster_major ? *major == *search.cluster_major : *major >= oldest_major)
      return found;
    if (!unsuitable)
      unsuitable = found;
  }
  if (unsuitable)
    return wrong_version(search, *unsuitable);
  return broken ? *broken : not_found(search);
}

} // namespace colloquy::db::embedded
