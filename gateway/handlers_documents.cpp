// Documents and stores.
#include "gateway/edge.hpp"
#include "gateway/page_cursor.hpp"
#include "gateway/problem.hpp"
#include "gateway/replies.hpp"
#include "gateway/secrets.hpp"

namespace colloquy::gateway {
namespace {

namespace asio = boost::asio;

const error not_for_one_user{error_code::forbidden, "this is about documents of all users, and not for one user alone"};

const error bad_cursor{error_code::invalid_request, "the cursor is not one that a page of this list ended with"};

constexpr char collections_kind = 'c'; // of cursors

std::string collection_of(const call& of) {
  return of.said.path.text_or("name", "");
}

template <class Request>
auto ask_documents(call& of, Request request, std::chrono::milliseconds longer = {}) {
  return of.at.ask(of.at.handles().documents, std::move(request), longer);
}

/// What a request names beside its collection.
template <class Request>
Request request_of(const call& of) {
  Request wanted;
  wanted.tenant = of.who.tenant;
  wanted.collection = collection_of(of);
  wanted.as_user = of.who.as_user;
  if constexpr (requires { wanted.where; })
    if (const auto* where = of.said.body.get<document_filter>("where"))
      wanted.where = *where;
  return wanted;
}

template <class Request>
Request page_request(const call& of) {
  Request wanted;
  wanted.tenant = of.who.tenant;
  wanted.limit = static_cast<std::size_t>(of.said.query.integer_or("limit", limits::page_default));
  wanted.cursor = of.said.query.text_or("cursor", "");
  return wanted;
}

/// Keys of different collections have nothing to do with each other; a name is longer than what tells them apart may
/// be.
std::optional<idempotency> repeat_of(const call& of) {
  return of.repeat(std::string(of.of->name) + ":" + sha256_hex(collection_of(of)));
}

void write_document(json_writer& to, const std::optional<std::string>& document) {
  to.key("document");
  if (document)
    to.raw(*document);
  else
    to.null();
}

void write_found(json_writer& to, const document_page& page) {
  to.open_object().key("items").open_array();
  for (const auto& each : page.documents)
    to.raw(each);
  to.close_array().member_or_null("next_cursor", page.next_cursor).member("total_count", page.total_count);
  to.close_object();
}

template <class Reply, class Write>
http_reply reply_with(const call& of, unsigned status, const result<Reply>& answer, Write write_it) {
  if (!answer)
    return make_problem(answer.failure(), of.request.id);
  return json_reply(status, *answer, write_it);
}

document_converter to_converter(const values& said) {
  document_converter converter;
  converter.from = said.text("from");
  converter.to = said.text_or("to", "");
  converter.collection = said.text("collection");
  converter.rename = said.maybe<text_pairs>("rename").value_or(text_pairs());
  converter.remove = said.maybe<std::vector<std::string>>("remove").value_or(std::vector<std::string>());
  converter.set = said.maybe<text_pairs>("set").value_or(text_pairs());
  converter.set_default = said.maybe<text_pairs>("set_default").value_or(text_pairs());
  return converter;
}

open_store to_open_store(const call& of) {
  const auto& body = of.said.body;
  open_store wanted;
  wanted.tenant = of.who.tenant;
  wanted.store = of.said.path.text_or("store", "");
  wanted.version = body.text_or("version", "");
  wanted.allow_migration = body.truth("allow_migration");
  wanted.retry_failed = body.truth("retry_failed");
  wanted.collections = body.maybe<std::vector<std::string>>("collections").value_or(std::vector<std::string>());
  if (const auto* converters = body.get<std::vector<std::shared_ptr<const values>>>("converters"))
    for (const auto& each : *converters)
      wanted.converters.push_back(to_converter(*each));
  return wanted;
}

} // namespace

task<http_reply> handle_insert_documents(call& of) {
  auto wanted = request_of<insert_documents>(of);
  wanted.documents.assign(of.said.documents.begin(), of.said.documents.end());
  wanted.repeat = repeat_of(of);
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 201, answer, [](json_writer& to, const documents_inserted& done) {
    to.open_object().key("ids").open_array();
    for (const auto& id : done.ids)
      to.value(id);
    to.close_array().close_object();
  });
}

task<http_reply> handle_query_documents(call& of) {
  const auto& body = of.said.body;
  auto wanted = request_of<find_documents>(of);
  if (const auto* sort = body.get<document_sort>("sort"))
    wanted.order = std::get<document_order>(*sort);
  wanted.limit = static_cast<std::size_t>(body.integer_or("limit", limits::page_default));
  if (const auto* cursor = body.get<document_start>("cursor"))
    wanted.cursor = *cursor;
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, write_found);
}

task<http_reply> handle_find_one_document(call& of) {
  auto wanted = request_of<find_document>(of);
  if (const auto* sort = of.said.body.get<document_sort>("sort"))
    wanted.order = *sort;
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, [](json_writer& to, const found_document& found) {
    to.open_object();
    write_document(to, found.document);
    to.close_object();
  });
}

task<http_reply> handle_update_one_document(call& of) {
  auto wanted = request_of<update_document>(of);
  wanted.set = of.said.body.raw_or("set", "{}");
  wanted.is_upsert = of.said.body.truth("upsert");
  if (wanted.is_upsert)
    wanted.repeat = repeat_of(of);
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, [](json_writer& to, const document_updated& done) {
    to.open_object().member("matched", done.matched).member("modified", done.modified);
    write_document(to, done.document);
    to.close_object();
  });
}

task<http_reply> handle_delete_one_document(call& of) {
  auto wanted = request_of<delete_document>(of);
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, [](json_writer& to, const document_deleted& done) {
    to.open_object().member("deleted", done.document ? 1 : 0);
    write_document(to, done.document);
    to.close_object();
  });
}

task<http_reply> handle_list_collections(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  auto wanted = page_request<list_collections>(of);
  if (!wanted.cursor.empty()) {
    auto name = from_name_cursor(collections_kind, wanted.cursor);
    if (!name)
      co_return make_problem(bad_cursor, of.request.id);
    wanted.cursor = std::move(*name);
  }
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, [](json_writer& to, const collection_page& page) {
    write_page(to, page.collections, to_name_cursor(collections_kind, page.next_cursor),
               [](json_writer& each_to, const collection_record& each) {
                 each_to.open_object().member("name", each.name).member("created_at", each.created_at).close_object();
               });
  });
}

task<http_reply> handle_delete_collection(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  delete_collection wanted{of.who.tenant, collection_of(of)};
  auto answer = co_await ask_documents(of, std::move(wanted), limits::collection_deletion_max);
  if (!answer)
    co_return make_problem(answer.failure(), of.request.id);
  of.at.audit(of, "collection.delete", "collection", collection_of(of));
  co_return no_content();
}

task<http_reply> handle_open_store(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  auto wanted = to_open_store(of);
  auto answer = co_await ask_documents(of, std::move(wanted), limits::store_opening_max);
  if (answer)
    of.at.audit(of, "store.open", "store", of.said.path.text_or("store", ""));
  co_return reply_with(of, 200, answer, [](json_writer& to, const opened_store& opened) {
    to.open_object()
        .member("version", opened.version)
        .member("previous_version", opened.previous_version)
        .member("migrated", opened.migrated)
        .member("failed", opened.failed)
        .close_object();
  });
}

task<http_reply> handle_list_failed_migrations(call& of) {
  if (of.who.as_user)
    co_return make_problem(not_for_one_user, of.request.id);
  auto wanted = page_request<list_failed_migrations>(of);
  wanted.store = of.said.path.text_or("store", "");
  auto answer = co_await ask_documents(of, std::move(wanted));
  co_return reply_with(of, 200, answer, [](json_writer& to, const failed_migration_page& page) {
    write_page(to, page.items, page.next_cursor, [](json_writer& each_to, const failed_migration& each) {
      each_to.open_object()
          .member("collection", each.collection)
          .raw_member("document", each.document)
          .member("reason", each.reason)
          .member("failed_at", each.failed_at)
          .close_object();
    });
  });
}

} // namespace colloquy::gateway
