// Statements that are run in one user's name: the database shows that user's sessions and those shared with them, even
// if the statement forgot to ask for no more.
#include "db/analytics_queries.hpp"
#include "tests/db/session_store.hpp"

#include <set>

using namespace colloquy;
using namespace colloquy::db;
using namespace colloquy::test;
using namespace std::chrono_literals;

namespace {

constexpr oid text_types[] = {oids::text};
constexpr statement set_user{
    "set_user_for_test",
    "SELECT set_config('colloquy.tenants', 'acme', true), set_config('colloquy.user_id', $1, true)", text_types};
constexpr statement forgetful{"forgetful", "SELECT title FROM sessions", {}};
constexpr statement forgetful_sharing{"forgetful_sharing", "SELECT user_id FROM participants", {}};

std::set<std::string> seen(session_store& store, const std::string& user, const statement& what = forgetful) {
  const auto outcome = store.run({{{&set_user, {user}}, {&what, {}}}});
  if (outcome.failure)
    FAIL(outcome.failure->message);
  std::set<std::string> found;
  for (int i = 0; i < outcome.results.back().count(); ++i)
    found.emplace(outcome.results.back().get(i, 0));
  return found;
}

draft made_by(const std::string& user, const std::string& title, const std::string& tenant = "acme") {
  auto record = record_of(new_key(tenant));
  record.user_id = user;
  record.title = title;
  return making(record);
}

draft sharing(const draft& made, const std::string& user) {
  auto write = write_to(made->session);
  write->participants = {{user, participant_role::reader}};
  return write;
}

using names = std::set<std::string>;

/// Ada owns one, takes part in one of bob's, and has nothing to do with another one of bob's.
struct shared_store : session_store {
  shared_store() { commit({own, shared, foreign, elsewhere, sharing(shared, "ada"), sharing(foreign, "carol")}); }
  draft own = made_by("ada", "own"), shared = made_by("bob", "shared"), foreign = made_by("bob", "foreign"),
        elsewhere = made_by("ada", "elsewhere", "globex");
};

} // namespace

TEST_CASE("a transaction in a user's name sees what that user owns and takes part in, whatever it asks for") {
  shared_store store;
  CHECK(seen(store, "") == names{"own", "shared", "foreign"});
  CHECK(seen(store, "ada") == names{"own", "shared"});
  CHECK(seen(store, "bob") == names{"shared", "foreign"});
  CHECK(seen(store, "carol") == names{"foreign"});
  CHECK(seen(store, "mallory").empty());
  CHECK(seen(store, "", forgetful_sharing) == names{"ada", "carol"});
  CHECK(seen(store, "ada", forgetful_sharing) == names{"ada"});
  CHECK(seen(store, "mallory", forgetful_sharing).empty());
  CHECK(seen(store, "") == names{"own", "shared", "foreign"}); // the name ends with its transaction
}

TEST_CASE("pages in a user's name are what a filter of all sessions gives") {
  shared_store store;
  const auto now = record_of(new_key()).created_at + 10h;
  const auto titles = [&](std::string as_user, std::optional<session_status> status = {},
                          std::optional<std::string> user = {}) {
    list_sessions wanted;
    wanted.tenant = tenant_id::parse("acme").value();
    wanted.as_user = std::move(as_user);
    wanted.user_id = std::move(user);
    wanted.status = status;
    wanted.limit = 1;
    names found;
    for (int i = 0; i < 10; ++i) {
      auto query = list_sessions_page(wanted, now);
      REQUIRE(query);
      const auto page = decode_session_page(wanted, now, store.run(*query));
      if (!page)
        FAIL(page.failure().message);
      for (const auto& each : page->sessions)
        CHECK(found.insert(each.title.value_or("?")).second);
      wanted.cursor = page->next_cursor;
      if (wanted.cursor.empty())
        break;
    }
    return found;
  };
  CHECK(titles("ada") == names{"own", "shared"});
  CHECK(titles("bob") == names{"shared", "foreign"});
  CHECK(titles("mallory").empty());
  CHECK(titles("").empty());
  CHECK(titles("ada", session_status::active) == names{"own", "shared"});
  CHECK(titles("ada", session_status::expired).empty());
  CHECK(titles("ada", {}, "bob") == names{"shared"});
  auto overdue = *store.shared->row;
  overdue.expires_at = now - 1h;
  auto change = write_to(overdue.key);
  change->changed = std::make_shared<const session_record>(overdue);
  store.commit({change});
  CHECK(titles("ada", session_status::expired) == names{"shared"});
  CHECK(titles("carol", session_status::expired).empty());
  CHECK(titles("ada", session_status::active) == names{"own"});
}

TEST_CASE("sums in a user's name are of what that user owns") {
  shared_store store;
  get_analytics wanted;
  wanted.tenant = tenant_id::parse("acme").value();
  wanted.from = record_of(new_key()).created_at;
  wanted.to = wanted.from + 1h;
  const auto active = [&] {
    const auto sums = decode_analytics(wanted, store.run(read_analytics(wanted, wanted.from)));
    if (!sums)
      FAIL(sums.failure().message);
    return sums->sessions_active;
  };
  CHECK(active() == 3);
  wanted.as_user = "ada";
  CHECK(active() == 1);
  wanted.user_id = "bob";
  CHECK(active() == 0);
  wanted.as_user = "bob";
  CHECK(active() == 2);
  wanted.as_user = "";
  CHECK(active() == 0);
}

TEST_CASE("what a session was when it was made is kept with its key, until the session goes") {
  session_store store;
  auto record = record_of(new_key());
  record.title = "first";
  record.metadata = R"({"as": "given"})";
  record.expires_at = record.created_at + 1h;
  auto made = making(record);
  made->key = remembered_key{"create:v1", "k", "print"};
  made->key->made = record.key.id;
  REQUIRE(store.commit({made}).empty());
  const auto reply = [&] {
    const auto found = decode_key(store.run(find_key(record.key.tenant, {}, "create:v1", "k")));
    REQUIRE(found);
    REQUIRE(*found);
    return (*found)->reply;
  };
  auto now = record;
  now.title = "second";
  auto change = write_to(record.key);
  change->changed = std::make_shared<const session_record>(now);
  store.commit({change});
  REQUIRE(reply());
  CHECK(reply()->title == "first");
  CHECK(reply()->metadata == record.metadata);
  CHECK(reply()->expires_at == record.expires_at);
  CHECK(reply()->key == record.key);
  auto erase = write_to(record.key);
  erase->erases = true;
  store.commit({erase});
  CHECK_FALSE(reply());
}
