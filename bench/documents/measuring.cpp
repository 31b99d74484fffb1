#include "bench/documents/find_load.hpp"
#include "bench/documents/measurements.hpp"
#include "bench/documents/pgbench.hpp"
#include "bench/documents/tickets.hpp"
#include "bench/machine_load.hpp"

#include "messages/document_filter.hpp"
#include "tests/support/temp_dir.hpp"

#include <algorithm>
#include <array>
#include <random>
#include <utility>

namespace colloquy::bench {
namespace {

constexpr std::size_t find_limit = 20;
constexpr std::size_t page_limit = 100;
constexpr std::size_t insert_at_once = 50'000;
constexpr std::size_t warm_up = 500;

/// The tenant is set, one statement finds, in one trip to the server and one transaction, as the service does it; the
/// window counts all that match.
constexpr const char* by_hand_head = R"sql(\set t random(0, TENANTS - 1)
\set k random(0, KEYS - 1)
\startpipeline
SELECT set_config('colloquy.tenants', 'tenant-' || :t, true);
)sql";

constexpr const char* by_hand_collection =
    R"sql((SELECT c.id FROM collections AS c WHERE c.tenant_id = 'tenant-' || :t AND c.name = 'tickets'))sql";

constexpr const char* by_hand_customer = R"sql(SELECT count(*) OVER (), d.data::text FROM documents AS d
  WHERE d.tenant_id = 'tenant-' || :t AND d.collection_id = COLLECTION
    AND d.customer_id = 'customer-' || :k AND octet_length(d.customer_id) <= 255
  ORDER BY d.sort_key, d.id LIMIT 20;
\endpipeline
)sql";

/// Written as a plain join it takes 20 times as long among a million: the planner begins with the documents.
constexpr const char* by_hand_order = R"sql(WITH hit AS MATERIALIZED (SELECT t.collection_id, t.sort_key, t.id
    FROM document_terms AS t WHERE t.tenant_id = 'tenant-' || :t AND t.collection_id = COLLECTION
    AND t.term = document_term('order', to_jsonb('order-' || :k)))
  SELECT count(*) OVER (), d.data::text FROM hit AS h, LATERAL (SELECT o.data FROM documents AS o
    WHERE o.tenant_id = 'tenant-' || :t AND o.collection_id = h.collection_id AND o.id = h.id OFFSET 0) AS d
  WHERE d.data -> 'order' = to_jsonb('order-' || :k)
  ORDER BY h.sort_key, h.id LIMIT 20;
\endpipeline
)sql";

void replace_all(std::string& text, const std::string& name, const std::string& value) {
  for (auto at = text.find(name); at != std::string::npos; at = text.find(name, at + value.size()))
    text.replace(at, name.size(), value);
}

document_filter parsed(const std::string& json) {
  auto filter = parse_filter(json);
  if (!filter)
    throw bench_failure(json + ": " + filter.failure().message);
  return std::move(filter).value();
}

/// A field, by whose value documents are found, and the same by hand.
struct found_by {
  const char* field;
  const char* key; ///< what its values begin with
  const char* index;
  const char* sql;
};
constexpr std::array<found_by, 2> ways{found_by{"customer_id", "customer", "an index of its own", by_hand_customer},
                                       found_by{"order", "order", "the table of terms", by_hand_order}};

class documents_run {
public:
  documents_run(const documents_options& options, const interruption_check& check)
    : options_(options)
    , check_(check)
    , service_(server_options(options), memory_room{}, check)
    , random_(options.seed) {}

  documents_figures run() {
    found_.server = service_.database().describe();
    load();
    found_.load_before = load_of_machine();
    for (const auto& way : ways)
      found_.findings.push_back({std::string(way.field) + ", by " + way.index, {}, {}});
    for (std::size_t round = 0; round < options_.rounds; ++round)
      for (std::size_t i = 0; i < ways.size(); ++i) {
        check_();
        found_.findings[i].service.push_back(find_by_service(ways[i]));
        found_.findings[i].by_hand.push_back(find_by_hand(ways[i], round));
      }
    measure_pages("{}", count_of("true"));
    measure_pages(R"({"state": {"$eq": "open"}})", count_of("n % 2 = 0"));
    measure_pages(R"({"priority": {"$gte": 5}})", count_of("n % 10 >= 5"));
    found_.load_after = load_of_machine();
    service_.stop();
    return std::move(found_);
  }

private:
  static bench_options server_options(const documents_options& options) {
    bench_options out;
    out.data_dir = options.data_dir;
    return out;
  }

  std::size_t documents_per_tenant() const { return options_.documents / options_.tenants; }
  std::size_t keys() const { return documents_per_tenant() / documents_per_key; }

  void load() {
    auto& database = service_.database();
    const auto at_once = std::max<std::size_t>(1, insert_at_once / documents_per_tenant());
    for (std::size_t i = 0; i < options_.tenants; i += at_once) {
      check_();
      insert_tickets(database, i, std::min(options_.tenants, i + at_once), documents_per_tenant());
    }
    for (std::size_t i = 0; i < options_.documents; i += insert_at_once) {
      check_();
      insert_paged_tickets(database, i, std::min(options_.documents, i + insert_at_once), options_.documents);
    }
    const auto number = documents_per_tenant() / 2;
    insert_documents one;
    one.tenant = ticket_tenant(0);
    one.collection = "of the service";
    one.documents = {ticket_document(database, number, documents_per_tenant())};
    insert_one(service_, std::move(one));
    check_same_rows(database, ticket_tenant(0), "of the service", ticket_place(database, number).id);
    database.run("VACUUM (ANALYZE) documents");
    database.run("VACUUM (ANALYZE) document_terms");
    database.checkpoint();
  }

  find_task find_any(const found_by& way) {
    find_task task;
    task.wanted.tenant = ticket_tenant(random_() % options_.tenants);
    task.wanted.collection = tickets_collection;
    task.wanted.where =
        parsed(std::string("{\"") + way.field + "\": {\"$eq\": \"" + ticket_key(way.key, random_() % keys()) + "\"}}");
    task.wanted.limit = find_limit;
    task.documents = documents_per_key;
    task.total_count = documents_per_key;
    return task;
  }

  histogram find_by_service(const found_by& way) {
    histogram times;
    std::size_t asked = 0;
    const auto warm = warm_up * options_.concurrency;
    run_finds(service_, options_.concurrency, [&]() -> std::optional<find_task> {
      if (asked == warm + options_.finds)
        return std::nullopt;
      auto task = find_any(way);
      task.times = asked++ < warm ? nullptr : &times;
      return task;
    });
    return times;
  }

  histogram find_by_hand(const found_by& way, std::size_t round) {
    pgbench_run run;
    run.conninfo = service_.database().service_conninfo() + " options='-c role=colloquy_service'";
    run.script = std::string(by_hand_head) + way.sql;
    replace_all(run.script, "COLLECTION", by_hand_collection);
    replace_all(run.script, "TENANTS", std::to_string(options_.tenants));
    replace_all(run.script, "KEYS", std::to_string(keys()));
    run.clients = options_.concurrency;
    run.transactions = options_.finds;
    run.warm_up = warm_up;
    run.seed = options_.seed + static_cast<unsigned>(round);
    return run_pgbench(run, folder_.path());
  }

  std::int64_t count_of(const std::string& condition) {
    return std::stoll(service_.database().value("SELECT count(*) FROM generate_series(0, " +
                                                std::to_string(options_.documents) + " - 1) AS n WHERE " + condition));
  }

  /// Kinds in turn, so that what else the machine does meets all of them.
  void measure_pages(const std::string& filter, std::int64_t matches) {
    paging pages;
    pages.filter = filter;
    pages.matches = matches;
    find_documents first;
    first.tenant = paged_tenant();
    first.collection = tickets_collection;
    first.where = parsed(filter);
    first.limit = page_limit;
    const auto with_cursor = [&](auto cursor) {
      auto wanted = first;
      wanted.cursor = std::move(cursor);
      return wanted;
    };
    const auto behind = [&](const find_documents& page) { return with_cursor(find_page(service_, page).next_cursor); };
    const auto place_at = [&](double share) {
      return with_cursor(
          ticket_place(service_.database(), static_cast<std::size_t>(share * static_cast<double>(options_.documents))));
    };
    const std::array<std::pair<find_documents, histogram*>, 5> kinds{
        std::pair(first, &pages.first), std::pair(behind(first), &pages.second),
        std::pair(behind(place_at(0.5)), &pages.middle), std::pair(behind(place_at(deep_share)), &pages.deep),
        std::pair(place_at(deep_share), &pages.deep_place)};
    std::size_t asked = 0;
    run_finds(service_, 1, [&]() -> std::optional<find_task> {
      if (asked == (options_.pages + 1) * kinds.size())
        return std::nullopt;
      const auto& [wanted, times] = kinds[asked % kinds.size()];
      return find_task{wanted, page_limit, matches, asked++ < kinds.size() ? nullptr : times};
    });
    found_.pagings.push_back(std::move(pages));
  }

  /// Three pages are behind it, in a collection of 10,000 of which half match.
  static constexpr double deep_share = 0.9;

  const documents_options options_;
  const interruption_check& check_;
  test::temp_dir folder_{"colloquy-bench-pgbench"};
  sessions_service service_;
  std::mt19937_64 random_;
  documents_figures found_;
};

} // namespace

documents_figures measure_documents(const documents_options& options, const interruption_check& check) {
  if (options.documents % options.tenants != 0 || options.documents / options.tenants % documents_per_key != 0)
    throw bench_failure("--documents must be a multiple of --tenants times " + std::to_string(documents_per_key));
  return documents_run(options, check).run();
}

} // namespace colloquy::bench
