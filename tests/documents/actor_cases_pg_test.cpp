// The contract of documents against the actor interface: the cases of tests/documents/cases on a real PostgreSQL.
#include "db/migrator.hpp"
#include "tests/documents/case_calls.hpp"
#include "tests/support/catch.hpp"
#include "tests/support/test_service.hpp"

#include <future>
#include <map>

using namespace colloquy;
using namespace colloquy::test;

namespace {

/// One case: its tenants, and the cursor of the page before.
class case_run {
public:
  case_run(test_service& service, const contract_case& of, std::size_t number)
    : service_(service)
    , of_(of)
    , number_(number) {}

  std::vector<std::string> run() {
    if (!of_.setup.empty())
      begin();
    for (const auto& step : of_.steps)
      step.contains("at_once") ? run_at_once(step) : run_step(step);
    return std::move(found_);
  }

private:
  contract_caller caller(const json& step) const {
    const auto whose = step.value("as", "own") + "-" + std::to_string(number_);
    contract_caller out{service_.system(), service_.service().documents(), tenant(whose)};
    if (step.contains("user"))
      out.as_user = step["user"].get<std::string>();
    return out;
  }

  void complain(const json& step, const std::string& what) {
    found_.push_back(step.value("do", "at once") + " " + step.dump().substr(0, 300) + ": " + what);
  }

  void begin() {
    std::string list;
    for (const auto& each : of_.setup)
      list += (list.empty() ? "" : ",") + each;
    const json step{{"do", "insert"}};
    const auto answer = call_actor(caller(step), of_, step, "{\"documents\":[" + list + "]}");
    if (answer.code != "ok")
      complain(step, "its documents: " + answer.message);
  }

  void run_step(const json& step) {
    const auto answer = call_actor(caller(step), of_, step, body_of(step, cursor_));
    for (const auto& each : complaints(step, answer))
      complain(step, each);
    if (const auto next = answer.reply.value("next_cursor", json()); next.is_string())
      cursor_ = next.get<std::string>();
  }

  void run_at_once(const json& step) {
    std::vector<std::future<contract_answer>> calls;
    for (const auto& each : step["at_once"])
      calls.push_back(std::async(std::launch::async,
                                 [this, &each] { return call_actor(caller(each), of_, each, body_of(each, "")); }));
    json tally = json::object();
    std::map<std::string, std::int64_t> sums;
    for (auto& each : calls) {
      const auto answer = each.get();
      tally[answer.code] = tally.value(answer.code, 0) + 1;
      for (const auto& [name, value] : answer.reply.items())
        if (value.is_number_integer())
          sums[name] += value.get<std::int64_t>();
    }
    if (tally != step["tally"])
      complain(step, tally.dump());
    const auto expected = step.value("sum", json::object());
    for (const auto& [name, value] : expected.items())
      if (sums[name] != value.get<std::int64_t>())
        complain(step, name + " in sum " + std::to_string(sums[name]));
  }

  test_service& service_;
  const contract_case& of_;
  std::size_t number_;
  std::string cursor_;
  std::vector<std::string> found_;
};

void run_all(test_service& service) {
  std::size_t number = 0;
  for (const auto& each : load_contract_cases()) {
    if (each.is_of_http)
      continue;
    ++number;
    INFO(each.file << ": " << each.name);
    CHECK(case_run(service, each, number).run() == std::vector<std::string>());
  }
  CHECK(number >= 200);
  WARN(number << " cases");
}

/// A database whose text is ordered as a language orders it, migrated, beside `server`'s own.
std::string make_icu_database(const test_database& server) {
  server.exec(
      "CREATE DATABASE icu_cases OWNER colloquy_owner TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en-US' "
      "LOCALE 'C.UTF-8'");
  auto conninfo = [&](std::string text) {
    return text.replace(text.find(server.name()), server.name().size(), "icu_cases");
  };
  const auto migrated = db::migrate(conninfo(server.owner_conninfo()), "public", {"colloquy"});
  REQUIRE(migrated);
  return conninfo(server.service_conninfo());
}

} // namespace

TEST_CASE("every case of the contract holds for the actor interface", "[documents]") {
  test_service service;
  run_all(service);
}

TEST_CASE("every case holds on a database whose text is ordered as a language orders it", "[documents]") {
  const auto server = test_database::make_empty();
  const auto conninfo = make_icu_database(server);
  {
    test_service service(small_settings(), conninfo);
    run_all(service);
  }
  server.exec("DROP DATABASE icu_cases WITH (FORCE)");
}
