// Histories read as a stream against a slow and obvious choice from the whole log.
#include "tests/messages/history_log.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <iostream>
#include <map>
#include <random>
#include <set>

using namespace colloquy;
using namespace colloquy::test;
using strings = std::vector<std::string>;

namespace {

/// The rules of the header, said slowly: every unit of the whole log is made first.
class reference {
public:
  reference(const std::vector<event>& log, const history_limits& limits)
    : log_(log)
    , limits_(limits)
    , has_leading_(!log.empty() && log.front().role == message_role::system) {
    for (std::size_t i = 0; i < log.size(); ++i)
      if (!(i == 0 && has_leading_))
        units_[name_of_unit(i)].push_back(i);
    choose();
  }

  strings shown() const {
    strings out;
    for (std::size_t i = 0; i < log_.size(); ++i) {
      if (chosen_.count(i) == 0)
        continue;
      out.push_back(std::to_string(i));
      for (const auto& id : made_up_behind(i))
        out.push_back("made up for " + id);
    }
    return out;
  }

private:
  bool is_result(std::size_t i) const { return log_[i].role == message_role::tool && !log_[i].tool_call_id.empty(); }
  bool calls(std::size_t i, const std::string& id) const {
    const auto& ids = log_[i].tool_call_ids;
    return log_[i].role == message_role::assistant && std::count(ids.begin(), ids.end(), id) > 0;
  }
  std::string name_of_unit(std::size_t i) const {
    if (!is_result(i))
      return std::to_string(i);
    for (std::size_t k = i; k-- > 0;)
      if (calls(k, log_[i].tool_call_id))
        return std::to_string(k);
    return "none calls " + log_[i].tool_call_id;
  }
  strings open_calls(std::size_t i) const {
    strings open;
    if (log_[i].role != message_role::assistant || log_[i].turn.is_nil() || log_[i].turn == running_turn)
      return open;
    for (const auto& id : log_[i].tool_call_ids) {
      bool is_answered = false;
      for (std::size_t k : units_.at(name_of_unit(i)))
        is_answered = is_answered || (is_result(k) && log_[k].tool_call_id == id);
      if (!is_answered && std::count(open.begin(), open.end(), id) == 0)
        open.push_back(id);
    }
    return open;
  }
  std::int64_t tokens(std::size_t i) const {
    std::int64_t sum = log_[i].tokens ? *log_[i].tokens : static_cast<std::int64_t>((log_[i].data.size() + 3) / 4 + 4);
    for (const auto& id : open_calls(i)) {
      const std::string data = R"({"role":"tool","tool_call_id":")" + id +
                               R"(","content":"No result: the turn that made this call has ended.",)" +
                               R"("metadata":{"synthetic":true}})";
      sum += static_cast<std::int64_t>((data.size() + 3) / 4 + 4);
    }
    return sum;
  }
  void choose() {
    std::map<std::size_t, std::string, std::greater<>> by_newest;
    for (const auto& [name, members] : units_)
      by_newest[members.back()] = name;
    std::int64_t sum = 0;
    std::int64_t count = 0;
    if (has_leading_) {
      chosen_.insert(0);
      sum = *log_[0].tokens;
      count = 1;
    }
    bool has_one = false;
    for (const auto& [newest, name] : by_newest) {
      for (std::size_t i : units_[name]) {
        sum += tokens(i);
        ++count;
      }
      if (has_one && (sum > limits_.token_budget.value_or(1'000'000) || count > limits_.messages_max.value_or(1'000)))
        break;
      if (name.front() == 'n')
        continue;
      has_one = true;
      chosen_.insert(units_[name].begin(), units_[name].end());
    }
  }
  /// Behind this message, because the run of a call and its results ends with it.
  strings made_up_behind(std::size_t i) const {
    const auto caller = name_of_unit(i);
    if (caller.front() == 'n' || open_calls(std::stoul(caller)).empty())
      return {};
    std::size_t from = std::stoul(caller);
    std::vector<std::size_t> between; // chosen ones from the caller to here
    for (std::size_t k = from; k <= i; ++k)
      if (chosen_.count(k))
        between.push_back(k);
    for (std::size_t k : between)
      if (name_of_unit(k) != caller)
        return {};
    auto next = chosen_.upper_bound(i);
    if (next != chosen_.end() && name_of_unit(*next) == caller)
      return {};
    return open_calls(from);
  }

  const std::vector<event>& log_;
  history_limits limits_;
  bool has_leading_;
  std::map<std::string, std::vector<std::size_t>> units_;
  std::set<std::size_t> chosen_;
};

class random_logs {
public:
  explicit random_logs(unsigned seed)
    : random_(seed) {}

  std::size_t below(std::size_t bound) { return std::uniform_int_distribution<std::size_t>(0, bound - 1)(random_); }
  std::string id() { return std::string(1, static_cast<char>('a' + below(ids_))); }

  std::vector<event> make() {
    log_of_messages log;
    ids_ = 1 + below(8);
    const auto length = below(40);
    for (std::size_t i = 0; i < length; ++i)
      add_to(log);
    return log.events;
  }

  history_limits limits() {
    history_limits out;
    const auto form = below(3);
    if (form != 0)
      out.token_budget = 1 + static_cast<std::int64_t>(below(below(2) ? 60 : 400));
    if (form != 1)
      out.messages_max = 1 + static_cast<std::int64_t>(below(45));
    return out;
  }

private:
  void add_to(log_of_messages& log) {
    const auto tokens = static_cast<std::int32_t>(below(12));
    const auto kind = below(10);
    if (kind < 4) {
      log.result(id(), tokens);
    } else if (kind < 7) {
      std::vector<std::string> ids(below(4));
      for (auto& each : ids)
        each = id();
      log.call(std::move(ids), tokens);
    } else if (kind == 7) {
      log.add(message_role::system, tokens);
    } else {
      log.user(tokens).tokens = below(2) ? std::optional(tokens) : std::nullopt;
    }
    auto& message = log.events.back();
    message.turn = below(3) ? (below(4) ? ended_turn : running_turn) : turn_id{};
  }

  std::mt19937 random_;
  std::size_t ids_ = 1;
};

} // namespace

TEST_CASE("read as a stream, random logs give what the rules say of the whole log") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const char* many = std::getenv("COLLOQUY_TEST_HISTORIES");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const auto histories = many ? static_cast<unsigned>(std::strtoul(many, nullptr, 10)) : given ? 1u : 4000u;
  std::cout << "histories that fit: " << histories << " from seed " << first << "\n";
  std::size_t trimmed = 0;
  std::size_t made_up = 0;
  std::size_t stopped_early = 0;
  for (unsigned i = 0; i < histories; ++i) {
    const auto seed = first + i;
    INFO("COLLOQUY_TEST_SEED=" << seed);
    random_logs random(seed);
    const auto log = random.make();
    const auto limits = random.limits();
    const auto [chosen, read] = read_back(log, limits);
    REQUIRE(shown(chosen) == reference(log, limits).shown());
    REQUIRE(chosen.kept + chosen.made_up == static_cast<std::int64_t>(chosen.messages.size()));
    trimmed += static_cast<std::size_t>(chosen.kept) < log.size();
    made_up += chosen.made_up > 0;
    stopped_early += read < log.size();
  }
  if (histories >= 1000) {
    CHECK(trimmed > histories / 4);
    CHECK(made_up > histories / 10);
    CHECK(stopped_early > histories / 10);
  }
}
