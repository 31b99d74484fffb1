// What the doctor expects in a schema is read out of the migrations.
#include "db/doctor_schema.hpp"
#include "tests/support/catch.hpp"

#include <algorithm>
#include <string>
#include <vector>

using namespace colloquy;
using db::doctor::expected_objects;

namespace {

std::vector<std::string> found_in(std::initializer_list<std::string_view> texts) {
  std::vector<db::migration> all;
  for (const auto text : texts)
    all.push_back({static_cast<int>(all.size()) + 1, "made_up", "", text});
  std::vector<std::string> names;
  for (const auto& each : expected_objects(all))
    names.push_back(to_string(each));
  return names;
}

using list = std::vector<std::string>;

} // namespace

TEST_CASE("tables, indexes, policies, functions, triggers, views and row security are expected") {
  CHECK(found_in({R"(
    CREATE TABLE a (x text CHECK (x IN ('CREATE TABLE no;')), y int);
    CREATE UNIQUE INDEX IF NOT EXISTS a_x ON a (x) WHERE y > 0;
    create or replace function f(i int) returns int language sql as $$ CREATE TABLE inside (); SELECT 1; $$;
    CREATE TRIGGER t BEFORE UPDATE ON a FOR EACH ROW EXECUTE FUNCTION f();
    CREATE VIEW "View" WITH (security_invoker = true) AS SELECT 1;
    ALTER TABLE a ENABLE ROW LEVEL SECURITY;
    ALTER TABLE a FORCE ROW LEVEL SECURITY;
    CREATE POLICY p ON a TO somebody USING (true);
    COMMENT ON TABLE a IS 'DROP TABLE a;';
    GRANT SELECT ON a TO somebody;
  )"}) == list{"table a", "index a_x", "function f", "trigger t on a", "view View", "row level security of a",
               "forced row level security of a", "policy p on a"});
}

TEST_CASE("comments and what was dropped again are not expected") {
  CHECK(found_in({"-- CREATE TABLE no ();\n/* CREATE TABLE no2 (); */ CREATE TABLE a (); CREATE INDEX i ON a (x);"
                  "CREATE POLICY p ON a; CREATE TABLE b (); CREATE INDEX j ON b (x);",
                  "DROP INDEX i; DROP POLICY IF EXISTS p ON a; DROP TABLE b;"}) == list{"table a"});
}

TEST_CASE("something made anew is expected once") {
  CHECK(found_in({"CREATE FUNCTION f();", "CREATE OR REPLACE FUNCTION f();"}) == list{"function f"});
}

TEST_CASE("the program's own migrations are understood") {
  std::vector<std::string> names;
  for (const auto& each : expected_objects())
    names.push_back(to_string(each));
  for (const auto* wanted :
       {"table sessions", "table events", "table writers", "index idx_sessions_external_id",
        "policy sessions_of_tenants on sessions", "policy writers_of_service on writers", "function begin_batch",
        "trigger sessions_updated_at on sessions", "view conversations", "forced row level security of events",
        "table erasures", "function cleanup_expired_sessions", "index idx_turns_rolled_back", "table shards"}) {
    INFO(wanted);
    CHECK(std::count(names.begin(), names.end(), wanted) == 1);
  }
  for (const auto& name : names)
    CHECK(name.find("backfill") == std::string::npos);
}
