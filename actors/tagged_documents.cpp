#include "actors/tagged_documents.hpp"

#include "messages/customer_requests.hpp"
#include "messages/document_fields.hpp"
#include "messages/json_scan.hpp"
#include "messages/limits.hpp"

#include <algorithm>

namespace colloquy::actors {
namespace {

find_document find_by_id(const tenant_id& tenant, const std::string& collection, const std::string& id) {
  find_document wanted;
  wanted.tenant = tenant;
  wanted.collection = collection;
  wanted.where = is_text("id", id);
  return wanted;
}

std::string id_of(const std::string& document) {
  return document_fields(document).text("id").value_or("");
}

bool has(const std::vector<std::string>& tags, const std::string& tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

/// What was answered, as it is kept for who asks again.
std::string to_reply(const tagged_thing& thing) {
  document_writer out;
  out.text("document", thing.document);
  for (std::size_t i = 0; i < thing.tags.size(); ++i)
    out.text(std::to_string(i), thing.tags[i]);
  return out.finish();
}

tagged_thing from_reply(const std::string& reply) {
  const document_fields fields(reply);
  tagged_thing thing{fields.text("document").value_or("{}"), {}};
  while (auto tag = fields.text(std::to_string(thing.tags.size())))
    thing.tags.push_back(*std::move(tag));
  return thing;
}

// Who finds what was there gone, or what was not there made by another one, looks again.
constexpr int tries_max = 10;
const error lost{error_code::conflict, "other requests changed the same at the same moment; try again"};

std::vector<std::string> each_once(const std::vector<std::string>& tags) {
  std::vector<std::string> once;
  for (const auto& tag : tags)
    if (!has(once, tag))
      once.push_back(tag);
  return once;
}

} // namespace

tagged_documents::tagged_documents(names named, std::shared_ptr<const db::document_tables> tables, documents_door door)
  : named_(std::move(named))
  , tables_(std::move(tables))
  , door_(std::move(door)) {}

error tagged_documents::missing() const {
  return {error_code::not_found, "there is no such " + named_.what};
}

void tagged_documents::count(const tenant_id& tenant, std::int64_t bytes) {
  if (bytes != 0)
    door_.count(tenant, bytes);
}

insert_documents tagged_documents::associations(const tenant_id& tenant, const std::string& id,
                                                const std::vector<std::string>& tags) const {
  insert_documents made;
  made.tenant = tenant;
  made.collection = named_.associations;
  for (const auto& tag : tags)
    made.documents.push_back(document_writer()
                                 .text("id", uuid_to_string(new_uuid_v7()))
                                 .text("version", named_.version)
                                 .text("creation_utc", door_.now())
                                 .text(named_.thing_field, id)
                                 .text("tag_id", tag)
                                 .finish());
  return made;
}

error tagged_documents::taken(const std::string& id) const {
  return {error_code::conflict, "there is a " + named_.what + " with the id " + colloquy::quoted(id) + " already"};
}

/// With tags or a key, all of it fails where the id is taken, so that nothing of the rest is kept.
void tagged_documents::create(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then, int tries) {
  const tagged_thing made{wanted.document, each_once(wanted.tags)};
  insert_documents thing;
  thing.tenant = tenant;
  thing.collection = named_.things;
  thing.documents = {wanted.document};
  const auto links = associations(tenant, wanted.id, made.tags);
  db::joint_unit work;
  if (wanted.repeat)
    work.add(db::first_time_unit(tenant, *wanted.repeat));
  const auto thing_part = work.add(db::insert_unit(*tables_, thing));
  if (wanted.repeat || !made.tags.empty())
    work.add(db::require_unit(*tables_, tenant, named_.things, wanted.id, db::required::made_here));
  std::optional<std::size_t> links_part;
  if (!made.tags.empty())
    links_part = work.add(db::insert_unit(*tables_, links));
  if (wanted.repeat)
    work.add(db::keep_reply_unit(tenant, *wanted.repeat, to_reply(made)));
  const auto ends = work.ends();
  door_.run(tenant, std::move(work).take(), wanted.repeat.has_value(),
            [this, thing, thing_part, links, links_part, ends, tenant, wanted, then, made, tries](const auto& outcome) {
              if (db::was_missing(outcome))
                return wanted.repeat ? answer_repeated(tenant, wanted, then, tries)
                                     : answer_taken(tenant, wanted, then, tries);
              auto inserted = db::decode_inserted(thing, db::outcome_of(ends, thing_part, outcome));
              if (!inserted && inserted.failure().code == error_code::conflict)
                return then(taken(wanted.id)); // not as of a document, which is what it is kept as
              if (!inserted)
                return then(std::move(inserted.failure()));
              count(tenant, inserted->bytes);
              if (links_part)
                if (auto linked = db::decode_inserted(links, db::outcome_of(ends, *links_part, outcome)))
                  count(tenant, linked->bytes);
              then(made);
            });
}

/// Either the key was there, or the id.
void tagged_documents::answer_repeated(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then,
                                       int tries) {
  door_.run(tenant, db::kept_reply_unit(tenant, *wanted.repeat), true,
            [this, tenant, wanted, then, tries](const auto& outcome) {
              auto kept = db::decode_kept_reply(*wanted.repeat, outcome);
              if (!kept)
                return then(std::move(kept.failure()));
              *kept ? then(from_reply(**kept)) : answer_taken(tenant, wanted, then, tries);
            });
}

/// Or the collection was deleted at the same moment, and nothing is in the way now.
void tagged_documents::answer_taken(const tenant_id& tenant, const creation& wanted, callback<tagged_thing> then,
                                    int tries) {
  get(tenant, wanted.id, [this, tenant, wanted, then, tries](result<tagged_thing> there) {
    if (there)
      return then(taken(wanted.id));
    if (there.failure().code != error_code::not_found)
      return then(std::move(there.failure()));
    tries < tries_max ? create(tenant, wanted, then, tries + 1) : then(lost);
  });
}

void tagged_documents::get(const tenant_id& tenant, const std::string& id, callback<tagged_thing> then) {
  door_.run(tenant, db::find_one_unit(*tables_, find_by_id(tenant, named_.things, id)), true,
            [this, tenant, id, then](const auto& outcome) {
              auto found = db::decode_one(outcome);
              if (!found)
                return then(std::move(found.failure()));
              if (!found->document)
                return then(missing());
              add_tags(tenant, {*found->document}, "", [then](result<tagged_page> page) {
                page ? then(std::move(page->things.front())) : then(std::move(page.failure()));
              });
            });
}

void tagged_documents::update(const tenant_id& tenant, const std::string& id, const std::string& set,
                              callback<tagged_thing> then) {
  update_document wanted;
  wanted.tenant = tenant;
  wanted.collection = named_.things;
  wanted.where = is_text("id", id);
  wanted.set = set;
  // Done twice it is the same: the id stays.
  door_.run(tenant, db::update_unit(*tables_, wanted, door_.document_bytes_max), true,
            [this, wanted, tenant, id, then](const auto& outcome) {
              auto done = db::decode_updated(wanted, outcome, door_.document_bytes_max);
              if (!done)
                return then(std::move(done.failure()));
              if (done->reply.matched == 0)
                return then(missing());
              count(tenant, done->bytes);
              get(tenant, id, then);
            });
}

void tagged_documents::erase(const tenant_id& tenant, const std::string& id, const belongings& more,
                             callback<std::int64_t> then) {
  delete_document thing;
  thing.tenant = tenant;
  thing.collection = named_.things;
  thing.where = is_text("id", id);
  db::joint_unit work;
  work.add(db::delete_unit(*tables_, thing)); // first: it waits for who gives the thing something just now
  work.add(db::delete_all_unit(*tables_, tenant, named_.associations, is_text(named_.thing_field, id)));
  for (const auto& [collection, filter] : more)
    work.add(db::delete_all_unit(*tables_, tenant, collection, filter));
  const auto ends = work.ends();
  door_.run(tenant, std::move(work).take(), false, [this, ends, tenant, id, then](const auto& outcome) {
    auto deleted = db::decode_deleted(db::outcome_of(ends, 0, outcome));
    if (!deleted)
      return then(std::move(deleted.failure()));
    count(tenant, deleted->bytes);
    std::int64_t others = 0;
    for (std::size_t part = 1; part < ends.size(); ++part)
      if (const auto gone = db::decode_gone(db::outcome_of(ends, part, outcome))) {
        count(tenant, gone->bytes);
        others += gone->count;
      }
    deleted->reply.document ? then(others) : then(missing());
  });
}

// --- tags ------------------------------------------------------------------------------------------------------------

/// Once, and tags_max at most, whoever gives one at the same time: that is asked again while the thing is locked. Where
/// it is not so any more, it is looked at again.
void tagged_documents::tag(const tenant_id& tenant, const std::string& id, const std::string& tag,
                           callback<tagged_thing> then, int tries) {
  get(tenant, id, [this, tenant, id, tag, then, tries](result<tagged_thing> thing) {
    if (!thing || has(thing->tags, tag))
      return then(std::move(thing));
    if (thing->tags.size() >= tags_max)
      return then(error{error_code::invalid_request,
                        "a " + named_.what + " has at most " + std::to_string(tags_max) + " tags"});
    const auto links = associations(tenant, id, {tag});
    const auto its_own = is_text(named_.thing_field, id);
    db::joint_unit work;
    work.add(db::require_unit(*tables_, tenant, named_.things, id, db::required::alone));
    work.add(db::require_fewer_unit(*tables_, tenant, named_.associations, all_of({its_own, is_text("tag_id", tag)}),
                                    "tag_id", 1));
    work.add(db::require_fewer_unit(*tables_, tenant, named_.associations, its_own, "tag_id", tags_max));
    const auto links_part = work.add(db::insert_unit(*tables_, links));
    const auto ends = work.ends();
    door_.run(tenant, std::move(work).take(), false,
              [this, ends, links_part, links, tenant, id, tag, then, tries](const auto& outcome) {
                if (db::was_missing(outcome))
                  return tries < tries_max ? this->tag(tenant, id, tag, then, tries + 1) : then(lost);
                auto linked = db::decode_inserted(links, db::outcome_of(ends, links_part, outcome));
                if (!linked)
                  return then(std::move(linked.failure()));
                count(tenant, linked->bytes);
                get(tenant, id, then);
              });
  });
}

void tagged_documents::untag(const tenant_id& tenant, const std::string& id, const std::string& tag,
                             callback<tagged_thing> then) {
  const auto filter = all_of({is_text(named_.thing_field, id), is_text("tag_id", tag)});
  door_.run(tenant, db::delete_all_unit(*tables_, tenant, named_.associations, filter), true,
            [this, tenant, id, then](const auto& outcome) {
              auto gone = db::decode_gone(outcome);
              if (!gone)
                return then(std::move(gone.failure()));
              count(tenant, gone->bytes);
              get(tenant, id, then);
            });
}

// --- lists -----------------------------------------------------------------------------------------------------------

void tagged_documents::list(const tenant_id& tenant, const std::optional<std::string>& tag, std::size_t limit,
                            const std::string& cursor, callback<tagged_page> then) {
  tag ? list_tagged(tenant, *tag, limit, cursor, std::move(then)) : list_all(tenant, limit, cursor, std::move(then));
}

void tagged_documents::find_page(find_documents wanted, callback<document_page> then) {
  auto query = db::find_unit(*tables_, wanted);
  if (!query)
    return then(std::move(query.failure()));
  const auto tenant = wanted.tenant;
  door_.run(tenant, std::move(query).value(), true,
            [wanted = std::move(wanted), then](const auto& outcome) { then(db::decode_page(wanted, outcome)); });
}

find_documents tagged_documents::page_of(const tenant_id& tenant, const std::string& collection, std::size_t limit,
                                         const std::string& cursor) {
  find_documents wanted;
  wanted.tenant = tenant;
  wanted.collection = collection;
  wanted.limit = limit;
  if (!cursor.empty())
    wanted.cursor = cursor;
  return wanted;
}

void tagged_documents::list_all(const tenant_id& tenant, std::size_t limit, const std::string& cursor,
                                callback<tagged_page> then) {
  find_page(page_of(tenant, named_.things, limit, cursor), [this, tenant, then](result<document_page> page) {
    if (!page)
      return then(std::move(page.failure()));
    add_tags(tenant, std::move(page->documents), std::move(page->next_cursor), then);
  });
}

/// A page of those who have the tag, then the things.
void tagged_documents::list_tagged(const tenant_id& tenant, const std::string& tag, std::size_t limit,
                                   const std::string& cursor, callback<tagged_page> then) {
  auto wanted = page_of(tenant, named_.associations, limit, cursor);
  wanted.where = is_text("tag_id", tag);
  find_page(std::move(wanted),
            [this, asked = tagged_list{tenant, tag, limit, cursor}, then](result<document_page> links) {
              if (!links)
                return then(std::move(links.failure()));
              std::vector<std::string> ids;
              for (const auto& each : links->documents)
                if (auto id = document_fields(each).text(named_.thing_field); id && !has(ids, *id))
                  ids.push_back(*std::move(id));
              add_things(asked, std::move(ids), std::move(links->next_cursor), then);
            });
}

/// In the order of the ids; one whose thing has gone is left out. If all of them have more bytes than a page, fewer are
/// asked for: about as many as came.
void tagged_documents::add_things(const tagged_list& asked, std::vector<std::string> ids, std::string next_cursor,
                                  callback<tagged_page> then) {
  auto wanted = page_of(asked.tenant, named_.things, limits::page_events_max, {});
  wanted.where = is_one_of("id", ids);
  find_page(std::move(wanted),
            [this, asked, ids = std::move(ids), next = std::move(next_cursor), then](result<document_page> page) {
              if (!page)
                return then(std::move(page.failure()));
              if (!page->next_cursor.empty())
                return list_tagged(asked.tenant, asked.tag,
                                   std::max<std::size_t>(1, std::min(asked.limit / 2, page->documents.size())),
                                   asked.cursor, then);
              std::map<std::string, std::string> by_id;
              for (auto& each : page->documents)
                by_id.emplace(id_of(each), each);
              std::vector<std::string> in_order;
              for (const auto& id : ids)
                if (const auto at = by_id.find(id); at != by_id.end())
                  in_order.push_back(at->second);
              add_tags(asked.tenant, std::move(in_order), next, then);
            });
}

void tagged_documents::add_tags(const tenant_id& tenant, std::vector<std::string> documents, std::string next_cursor,
                                callback<tagged_page> then) {
  std::vector<std::string> ids;
  for (const auto& each : documents)
    ids.push_back(id_of(each));
  auto wanted = page_of(tenant, named_.associations, limits::page_events_max, {});
  wanted.where = is_one_of(named_.thing_field, ids);
  read_tags(std::move(wanted), std::make_shared<tags_by_thing>(),
            [documents = std::move(documents), next = std::move(next_cursor), ids, then](result<tags_by_thing> tags) {
              if (!tags)
                return then(std::move(tags.failure()));
              tagged_page page;
              for (std::size_t i = 0; i < documents.size(); ++i)
                page.things.push_back({documents[i], (*tags)[ids[i]]});
              page.next_cursor = next;
              then(std::move(page));
            });
}

/// Page by page.
void tagged_documents::read_tags(find_documents wanted, std::shared_ptr<tags_by_thing> found,
                                 callback<tags_by_thing> then) {
  find_page(wanted, [this, wanted, found, then](result<document_page> page) {
    if (!page)
      return then(std::move(page.failure()));
    for (const auto& each : page->documents) {
      const document_fields link(each);
      const auto tag = link.text("tag_id");
      auto& tags = (*found)[link.text(named_.thing_field).value_or("")];
      if (tag && !has(tags, *tag))
        tags.push_back(*tag);
    }
    if (page->next_cursor.empty())
      return then(std::move(*found));
    auto next = wanted;
    next.cursor = page->next_cursor;
    read_tags(std::move(next), found, then);
  });
}

// --- filters ---------------------------------------------------------------------------------------------------------

document_filter is_text(std::string field, std::string text) {
  document_filter made;
  made.kind = document_filter::what::test;
  made.test = {std::move(field), filter_operator::eq, {{literal_kind::string, std::move(text)}}};
  return made;
}

document_filter is_one_of(std::string field, const std::vector<std::string>& texts) {
  document_filter made;
  made.kind = document_filter::what::test;
  made.test = {std::move(field), filter_operator::in, {}};
  for (const auto& text : texts)
    made.test.operands.push_back({literal_kind::string, text});
  return made;
}

document_filter all_of(std::vector<document_filter> filters) {
  document_filter made;
  made.parts = std::move(filters);
  return made;
}

} // namespace colloquy::actors
