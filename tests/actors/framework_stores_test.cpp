// The framework stores actor on stepped time: what it refuses, and what becomes of a request whatever happens.
#include "actors/framework_stores_keeper.hpp"
#include "actors/framework_stores_records.hpp"
#include "tests/actors/documents_fixture.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;
using namespace std::string_literals;

namespace {

const auto acme = tenant_id::parse("acme").value();

class stepped_stores {
public:
  explicit stepped_stores(std::size_t under_way_max = 1000) {
    actors::framework_stores_options options;
    options.request_timeout = 5s;
    options.under_way_max = under_way_max;
    actor_ = caf::actor_cast<actors::framework_stores_actor>(
        steps.system().spawn<actors::framework_stores_keeper>(pool.spawn(steps.system()), options));
    steps.run();
  }
  ~stepped_stores() {
    end();
    pool.end();
  }
  void end() {
    if (actor_)
      caf::anon_send_exit(actor_, caf::exit_reason::user_shutdown);
    actor_ = nullptr;
    steps.run();
  }
  template <class Request>
  pending_answer<typename Request::reply> begin(Request request) {
    auto answer = steps.ask<typename Request::reply>(actor_, std::move(request));
    steps.run();
    return answer;
  }

  stepped_system steps;
  noting_pool pool;

private:
  actors::framework_stores_actor actor_;
};

} // namespace

TEST_CASE("customers: what the database could refuse is refused before it is asked") {
  stepped_stores stores;
  const auto refused = [&](auto request) {
    const auto answer = stores.begin(std::move(request));
    return *answer && !**answer && (*answer)->failure().code == error_code::invalid_request;
  };
  for (const auto& id : {""s, "a\0b"s, "\xff"s, std::string(256, 'x')}) {
    CHECK(refused(get_customer{acme, id}));
    CHECK(refused(tag_customer{acme, "a", id}));
    CHECK(refused(get_context_variable{acme, id}));
    CHECK(refused(look_up_context_value{acme, "v", id}));
    CHECK(refused(put_context_value{acme, id, "k", "1"}));
  }
  CHECK(refused(put_context_value{acme, "v", std::string(262, 'x'), "1"}));
  CHECK(refused(put_context_value{acme, "v", "k", std::string(200, '[') + std::string(200, ']')}));
  list_customers page{acme};
  page.limit = 0;
  CHECK(refused(page));
  CHECK(refused(update_context_variable{acme, "v"}));
  CHECK(stores.pool.seen.empty());
}

TEST_CASE("customers: a request is bounded, timed, and answered at every end") {
  stepped_stores stores(2);
  stores.pool.holding = [](const auto&) { return true; };
  const auto first = stores.begin(get_customer{acme, "a"});
  const auto second = stores.begin(list_customers{acme});
  CHECK(stores.pool.seen.at(0).deadline == stores.steps.system().clock().now() + 5s);
  const auto third = stores.begin(get_customer{acme, "a"});
  REQUIRE(*third);
  CHECK((*third)->failure().code == error_code::overloaded);
  stores.pool.answer_held(failed(db::failure_kind::wait));
  stores.steps.run();
  REQUIRE(*first);
  CHECK((*first)->failure().code == error_code::database_unavailable);
  stores.steps.advance(5s + actors::pool_answer_margin + 1s, 500ms);
  REQUIRE(*second);
  CHECK((*second)->failure().code == error_code::deadline_exceeded);
  const auto last = stores.begin(get_context_variable{acme, "v"});
  CHECK_FALSE(*last);
  stores.end();
  REQUIRE(*last);
  CHECK((*last)->failure().code == error_code::internal);
}

TEST_CASE("times are read as frameworks write them") {
  const auto noon = timestamp(std::chrono::sys_days(std::chrono::year(2024) / 2 / 29) + 12h);
  for (const auto* text :
       {"2024-02-29T12:00:00Z", "2024-02-29T12:00:00.000000+00:00", "2024-02-29 12:00:00", "2024-02-29T12:00Z",
        "2024-02-29T14:30:00+02:30", "2024-02-28T23:00:00-1300", "2024-02-29t12:00:00.0000009z"})
    CHECK(actors::read_time(text) == noon);
  CHECK(actors::read_time("2024-02-29T12:00:00.25Z") == noon + 250ms);
  for (const auto* text :
       {"", "2024", "2024-02-30T12:00:00Z", "2023-02-29T12:00:00Z", "2024-02-29", "2024-02-29T", "2024-02-29T24:00:00Z",
        "2024-02-29T12:60:00Z", "2024-02-29T12:00:00X", "2024-13-01T12:00:00Z", "2024-02-29T12:00:00+0",
        "x024-02-29T12:00:00Z", "2024-02-29T12:00:00Z ", "2024-2-29T12:00:00Z"})
    CHECK_FALSE(actors::read_time(text));
}
