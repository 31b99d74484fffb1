// Opening a store on stepped time: what is asked of the database, and when it is given up.
#include "db/binary_codec.hpp"
#include "tests/actors/documents_fixture.hpp"
#include "tests/support/catch.hpp"

using namespace colloquy;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

open_store opening(const std::string& version, bool allowed = false) {
  open_store wanted;
  wanted.tenant = tenant_id::parse("acme").value();
  wanted.store = "s";
  wanted.version = version;
  wanted.allow_migration = allowed;
  return wanted;
}

/// What the database says of a store that is there already.
db::unit_outcome recorded(const std::string& version, std::optional<std::string> target = {}) {
  db::array_builder names(db::oids::text, 1, 8);
  names.add("s");
  auto outcome = done(2);
  outcome.results.push_back(one_row({version, std::move(target), std::move(names).finish()}));
  return outcome;
}

std::string purposes(const noting_pool& pool) {
  std::string out;
  for (const auto& each : pool.seen)
    out += (out.empty() ? "" : " ") + std::string(each.purpose);
  return out;
}

} // namespace

TEST_CASE("a store that is current opens without a document being read") {
  stepped_documents documents;
  documents.pool.answering = [](const auto&) { return recorded("1"); };
  const auto opened = documents.ask(opening("1", true));
  REQUIRE(opened);
  CHECK(opened->previous_version == "1");
  CHECK(purposes(documents.pool) == "open_store");
}

TEST_CASE("a store that may not be opened is refused with one look") {
  stepped_documents documents;
  documents.pool.answering = [](const auto&) { return recorded("2"); };
  CHECK_THAT(documents.refusal(opening("1", true)), StartsWith("store_outdated: "));
  CHECK_THAT(documents.refusal(opening("3")), StartsWith("migration_required: "));
  auto other = opening("2");
  other.collections = {"t"};
  CHECK_THAT(documents.refusal(other), StartsWith("conflict: "));
  documents.pool.answering = [](const auto&) { return recorded("2", "3"); }; // somebody is on the way
  CHECK_THAT(documents.refusal(opening("2", true)), StartsWith("store_outdated: "));
  CHECK_THAT(documents.refusal(opening("3")), StartsWith("migration_required: "));
  CHECK(documents.pool.count("open_store") == documents.pool.seen.size());
}

TEST_CASE("each unit of an opening ends by the opening's own deadline") {
  stepped_documents documents([](auto& options) { options.opening_timeout = 12s; });
  documents.pool.holding = [](const auto& unit) { return unit.purpose == "begin_migration"; };
  documents.pool.answering = [](const auto&) { return recorded("1"); };
  const auto began = documents.steps.system().clock().now();
  const auto answer = documents.begin(opening("2", true));
  CHECK(documents.pool.last("begin_migration").deadline == began + 5s);
  // Somebody else has changed the record: it is looked at again, as long as there is time.
  for (int i = 0; i < 2; ++i) {
    documents.steps.advance(4s, 500ms);
    documents.pool.answer_held(done(2));
    documents.steps.run();
    CHECK_FALSE(*answer);
  }
  CHECK(documents.pool.last("begin_migration").deadline == began + 12s);
  documents.steps.advance(4s, 500ms);
  documents.pool.answer_held(done(2));
  documents.steps.run();
  REQUIRE(*answer);
  CHECK((*answer)->failure().code == error_code::deadline_exceeded);
  CHECK(documents.pool.count("open_store") == 3);
}

TEST_CASE("what has come while a store was migrated is looked for until there is none") {
  stepped_documents documents;
  int finishes = 0;
  documents.pool.answering = [&](const actors::run_unit& unit) {
    if (unit.purpose == "read_unsettled")
      return done(2);
    if (unit.purpose == "finish_migration" && ++finishes == 3)
      return recorded("2");
    return recorded("1", "2");
  };
  const auto opened = documents.ask(opening("2", true));
  REQUIRE(opened);
  CHECK(opened->version == "2");
  CHECK(opened->previous_version == "1");
  CHECK(purposes(documents.pool) == "open_store read_unsettled finish_migration read_unsettled finish_migration"
                                    " read_unsettled finish_migration");
}
