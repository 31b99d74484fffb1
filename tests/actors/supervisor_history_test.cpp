// Random histories of the pool: asks, leases, deaths, lost backends, a database that comes and goes, control, and time.
// Whatever happens, every request of one who lives is answered exactly once, nobody is given what another has, the pool
// keeps within its bounds, and once all is well again it is whole.
#include "tests/support/catch.hpp"
#include "tests/support/stepped_pool.hpp"

#include <algorithm>
#include <cstdlib>
#include <random>
#include <set>

using namespace colloquy;
using namespace colloquy::actors;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

pool_options for_histories(std::size_t size_max) {
  auto options = pool_of(2, size_max);
  options.acquire_timeout = 3s;
  options.idle_timeout = 20s;
  options.max_lifetime = 60s;
  options.health_check_interval = 15s;
  options.report_interval = 30s;
  options.tenant_waiters_max = 20;
  options.waiters_max = 60;
  options.reconnect.delay_max = 2s;
  return options;
}

class history {
public:
  explicit history(unsigned seed)
    : random_(seed)
    , size_max_(2 + seed % 7)
    , pool_(for_histories(size_max_)) {
    pool_.server.service_time = milliseconds(5 * roll(1, 40));
    for (int i = 0; i < 6; ++i)
      people_.push_back({pool_.client()});
  }

  void act() {
    auto& who = people_[static_cast<std::size_t>(roll(0, 5))];
    switch (roll(0, 24)) {
    case 0:
    case 1:
      lease(who);
      break;
    case 2:
    case 3:
    case 4:
      end_one(who);
      break;
    case 5:
      use_one(who);
      break;
    case 6:
      who.client.die(); // of one that dies nothing more is expected
      who = {pool_.client()};
      break;
    case 7:
      pool_.server.cut(static_cast<std::size_t>(roll(0, 6)));
      break;
    case 8:
      pool_.server.cut_all();
      break;
    case 9:
      break_or_mend();
      break;
    case 10:
      pool_.server.unit_failures.push_back(roll(0, 1) ? db::make_failure("40001", "serialization failure")
                                                      : db::make_failure("23505", "duplicate key"));
      break;
    case 11:
      control();
      break;
    case 12:
      pool_.advance(std::chrono::seconds{roll(1, 30)}, 50ms);
      break;
    default:
      for (int i = roll(0, 5); i > 0; --i)
        run(who);
    }
    if (roll(0, 2) > 0) // or several at one time
      pool_.advance(milliseconds(5 * roll(0, 40)));
    check();
  }

  void finish() {
    mend();
    REQUIRE(pool_.control(resume_pool{}));
    pool_.advance(200s, 50ms); // past all deadlines, and past what wrong credentials delay
    for (auto& who : people_)
      while (end_one(who)) {
      }
    pool_.advance(100s, 50ms);
    for (int i = 0; i < 20 && pool_.status().active + pool_.status().waiting > 0; ++i)
      pool_.advance(50ms); // the pool's own report may be under way
    check();
    for (const auto& who : people_) {
      for (const auto& unit : who.units) {
        REQUIRE(unit->caf_error == "");
        REQUIRE(unit->times == 1);
      }
      for (const auto& unit : who.own_units) // or is told that the backend's actor is no more
        REQUIRE(unit->times == 1);
      for (const auto& each : who.asked) {
        REQUIRE(each->caf_error == "");
        REQUIRE(each->times == 1);
      }
    }
    check_rest();
    check_nothing_is_withheld();
  }

private:
  struct held_lease {
    lease_answer answer;
    bool is_firm = true; // ends only when its owner wants, or its backend is lost
  };
  struct person {
    pool_client client;
    std::vector<unit_answer> units{};
    std::vector<unit_answer> own_units{}; // of its leases
    std::vector<lease_answer> asked{};
    std::vector<held_lease> leases{};
  };

  static std::chrono::milliseconds milliseconds(int count) { return std::chrono::milliseconds{count}; }
  int roll(int low, int high) { return std::uniform_int_distribution<int>(low, high)(random_); }
  std::string tenant() { return std::string(1, static_cast<char>('a' + roll(0, 2))); }

  static bool is_held(const person& who, const held_lease& lease) {
    if (!lease.answer->value || !lease.answer->value->has_value())
      return false;
    const auto id = lease.answer->value->value().lease;
    return std::count(who.client.lost().begin(), who.client.lost().end(), id) == 0;
  }

  void run(person& who) {
    auto request = unit_for(tenant(), roll(0, 1) == 0);
    if (roll(0, 3) == 0)
      request.deadline = pool_.now() + milliseconds(roll(10, 3000));
    who.units.push_back(who.client.run(request));
  }

  void lease(person& who) {
    auto terms = lease_for(tenant());
    terms.reusable = roll(0, 3) > 0;
    terms.holder = who.client.as_holder();
    const bool is_firm = roll(0, 2) > 0;
    if (!is_firm)
      terms.idle_timeout = 5s;
    who.asked.push_back(who.client.lease(terms));
    who.leases.push_back({who.asked.back(), is_firm});
  }

  /// The oldest that has been answered.
  bool end_one(person& who) {
    const auto found =
        std::find_if(who.leases.begin(), who.leases.end(), [](const auto& each) { return each.answer->has_come(); });
    if (found == who.leases.end())
      return false;
    if (found->answer->value->has_value())
      for (int times = roll(1, 2); times > 0; --times)
        who.client.end(found->answer, roll(0, 4) > 0);
    who.leases.erase(found);
    return true;
  }

  void use_one(person& who) {
    for (const auto& each : who.leases)
      if (each.is_firm && is_held(who, each))
        who.own_units.push_back(who.client.run_on(each.answer, unit_for()));
  }

  void break_or_mend() {
    switch (roll(0, 9)) {
    case 0:
      pool_.server.refusal = refused();
      break;
    case 1:
      pool_.server.refusal = wrong_password();
      break;
    case 2:
      pool_.server.places = static_cast<std::size_t>(roll(0, 4));
      break;
    case 3:
      pool_.server.checks_fail = true;
      break;
    default:
      mend();
    }
  }
  void mend() {
    pool_.server.refusal.reset();
    pool_.server.places = 1000;
    pool_.server.checks_fail = false;
    pool_.server.unit_failures.clear();
  }

  void control() {
    limit_tenant limit;
    resize_pool size;
    switch (roll(0, 6)) {
    case 0:
      REQUIRE(pool_.control(pause_pool{}));
      break;
    case 1:
      size.max = static_cast<std::size_t>(roll(2, static_cast<int>(size_max_)));
      size.min = static_cast<std::size_t>(roll(1, static_cast<int>(size.max)));
      REQUIRE(pool_.control(size));
      break;
    case 2:
      REQUIRE(pool_.control(rotate_pool{}));
      break;
    case 3:
      REQUIRE(pool_.control(reload_credentials{"host=127.0.0.1 user=someone password=new"}));
      break;
    case 4:
      limit.tenant = tenant();
      limit.weight = roll(1, 5);
      limit.backends_max = static_cast<std::size_t>(roll(0, 3));
      REQUIRE(pool_.control(limit));
      break;
    default:
      REQUIRE(pool_.control(resume_pool{}));
    }
  }

  void check() {
    REQUIRE(pool_.server.live_max <= size_max_ + 1);
    REQUIRE(pool_.server.strays == 0);
    std::set<std::int32_t> held;
    for (const auto& who : people_)
      for (const auto& each : who.leases)
        if (each.is_firm && is_held(who, each))
          REQUIRE(held.insert(each.answer->value->value().backend_pid).second); // one lease a backend
  }

  void check_rest() {
    const auto status = pool_.status();
    REQUIRE(status.leased == 0);
    REQUIRE(status.waiting == 0);
    REQUIRE(status.active == 0);
    REQUIRE(status.total >= status.min);
    REQUIRE(status.total <= status.max + 1);
    REQUIRE(pool_.server.live() == status.total + status.connecting);
    REQUIRE(pool_.server.under_way == 0);
    REQUIRE(status.numbers.connects - status.numbers.disconnects == status.total);
    std::uint64_t by_tenant = 0;
    for (const auto& [name, numbers] : status.numbers.by_tenant)
      by_tenant += numbers.units;
    REQUIRE(status.numbers.query_time.count() == by_tenant);
  }

  /// Neither limits nor backends kept free have been left behind.
  void check_nothing_is_withheld() {
    for (const auto* tenant : {"a", "b", "c"}) {
      auto client = pool_.client();
      limit_tenant limit;
      limit.tenant = tenant;
      limit.backends_max = 1;
      REQUIRE(pool_.control(limit));
      auto unit = client.run(unit_for(tenant));
      auto lease = client.lease(lease_for(tenant));
      pool_.advance(3s);
      REQUIRE(unit->has_come());
      REQUIRE_FALSE(unit->value->failure);
      REQUIRE(lease->has_come());
      REQUIRE(lease->value->has_value());
    }
  }

  std::mt19937 random_;
  const std::size_t size_max_;
  stepped_pool pool_;
  std::vector<person> people_;
};

} // namespace

TEST_CASE("random histories: each request is answered once, nothing is given twice, and the pool is whole at the end") {
  const char* given = std::getenv("COLLOQUY_TEST_SEED");
  const auto first = given ? static_cast<unsigned>(std::strtoul(given, nullptr, 10)) : std::random_device{}();
  const int histories = given ? 1 : 40;
  for (int i = 0; i < histories; ++i) {
    const auto seed = first + static_cast<unsigned>(i);
    INFO("COLLOQUY_TEST_SEED=" << seed);
    history told(seed);
    for (int step = 0; step < 300; ++step)
      told.act();
    told.finish();
  }
}
