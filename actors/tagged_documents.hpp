// Documents that have tags: a document for each thing, and one of another collection for each tag that it has.
// No actor of its own: it asks through whom it belongs to, and goes on in that one's callbacks.
//
// A thing and what belongs to it change in one transaction: a tag is given only to a thing that is there, and with a
// thing goes what belongs to it.
#pragma once

#include "db/joint_documents.hpp"
#include "messages/error.hpp"
#include "messages/ids.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace colloquy::actors {

/// How documents are asked for. Each request is answered, on the same actor, while it lives.
struct documents_door {
  std::function<void(const tenant_id&, db::unit, bool idempotent, std::function<void(const db::unit_outcome&)>)> run;
  std::function<void(const tenant_id&, std::int64_t bytes)> count; ///< what is stored more than before
  std::function<std::string()> now;                                ///< as creation_utc
  std::size_t document_bytes_max = limits::document_bytes_max;
};

struct tagged_thing {
  std::string document;
  std::vector<std::string> tags;
};
struct tagged_page {
  std::vector<tagged_thing> things;
  std::string next_cursor;
};

class tagged_documents {
public:
  template <class Value>
  using callback = std::function<void(result<Value>)>;
  /// A collection, and what of it goes when a thing goes.
  using belongings = std::vector<std::pair<std::string, document_filter>>;

  struct names {
    std::string what; ///< in messages: "customer"
    std::string things;
    std::string associations;
    std::string thing_field; ///< of an association: whose it is
    std::string version;     ///< of associations that are made
  };
  tagged_documents(names named, std::shared_ptr<const db::document_tables> tables, documents_door door);

  /// Under a key that was used before with the same request it gives what was made then.
  struct creation {
    std::string id;
    std::string document;
    std::vector<std::string> tags{};
    std::optional<idempotency> repeat{};
  };
  void create(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then, int tries = 1);
  void get(const tenant_id& tenant, const std::string& id, callback<tagged_thing> then);
  void update(const tenant_id& tenant, const std::string& id, const std::string& set, callback<tagged_thing> then);
  void erase(const tenant_id& tenant, const std::string& id, const belongings& more, callback<std::int64_t> then);
  void list(const tenant_id& tenant, const std::optional<std::string>& tag, std::size_t limit,
            const std::string& cursor, callback<tagged_page> then);
  void tag(const tenant_id& tenant, const std::string& id, const std::string& tag, callback<tagged_thing> then,
           int tries = 1);
  void untag(const tenant_id& tenant, const std::string& id, const std::string& tag, callback<tagged_thing> then);

  const names& named() const noexcept { return named_; }
  error missing() const; ///< the same for one of another tenant: it does not say which

private:
  using tags_by_thing = std::map<std::string, std::vector<std::string>>;

  void answer_repeated(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then, int tries);
  void answer_taken(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then, int tries);
  error taken(const std::string& id) const;
  insert_documents associations(const tenant_id& tenant, const std::string& id,
                                const std::vector<std::string>& tags) const;
  static find_documents page_of(const tenant_id& tenant, const std::string& collection, std::size_t limit,
                                const std::string& cursor);
  void find_page(find_documents wanted, callback<document_page> then);
  void list_all(const tenant_id& tenant, std::size_t limit, const std::string& cursor, callback<tagged_page> then);
  void list_tagged(const tenant_id& tenant, const std::string& tag, std::size_t limit, const std::string& cursor,
                   callback<tagged_page> then);
  /// A page as a list has it that begins after `cursor`; with fewer things if all do not fit.
  struct tagged_list {
    tenant_id tenant;
    std::string tag;
    std::size_t limit;
    std::string cursor;
  };
  void add_things(const tagged_list& asked, std::vector<std::string> ids, std::string next_cursor,
                  callback<tagged_page> then);
  void add_tags(const tenant_id& tenant, std::vector<std::string> documents, std::string next_cursor,
                callback<tagged_page> then);
  void read_tags(find_documents wanted, std::shared_ptr<tags_by_thing> found, callback<tags_by_thing> then);
  void count(const tenant_id& tenant, std::int64_t bytes);

  const names named_;
  const std::shared_ptr<const db::document_tables> tables_;
  const documents_door door_;
};

/// One field of a document is that text.
document_filter is_text(std::string field, std::string text);
/// It is one of them.
document_filter is_one_of(std::string field, const std::vector<std::string>& texts);
document_filter all_of(std::vector<document_filter> filters);

} // namespace colloquy::actors
