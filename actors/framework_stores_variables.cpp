// Context variables and their values.
#include "actors/framework_stores.hpp"

#include "actors/framework_stores_records.hpp"
#include "messages/document_fields.hpp"

#include <algorithm>
#include <utility>

namespace colloquy::actors {
namespace {

constexpr const char* default_key = "DEFAULT";

document_filter of_key(const std::string& variable, const std::string& key) {
  return all_of({is_text("variable_id", variable), is_text("key", key)});
}

const error no_value{error_code::not_found, "the variable has no value for that key"};

/// In which order a value is looked for.
std::vector<std::string> keys_of(const look_up_context_value& wanted, const std::vector<std::string>& tags) {
  std::vector<std::string> keys;
  if (wanted.customer_id)
    keys.push_back(*wanted.customer_id);
  for (const auto& tag : tags)
    keys.push_back("tag:" + tag);
  if (wanted.agent_id)
    keys.push_back("agent:" + *wanted.agent_id);
  keys.emplace_back(default_key);
  return keys;
}

} // namespace

std::string framework_stores::document_of(const create_context_variable& wanted, const std::string& id) const {
  return document_writer()
      .text("id", id)
      .text("version", variables_version)
      .text("creation_utc", to_rfc3339(options_.now()))
      .text("name", wanted.name)
      .text_or_null("description", wanted.description)
      .text_or_null("tool_id", wanted.tool_id)
      .text_or_null("freshness_rules", wanted.freshness_rules)
      .finish();
}

/// Without its tags.
void framework_stores::with_variable(const tenant_id& tenant, const std::string& id,
                                     callback<context_variable_record> then) {
  find_document wanted;
  wanted.tenant = tenant;
  wanted.collection = options_.collections.variables;
  wanted.where = is_text("id", id);
  run(tenant, db::find_one_unit(*options_.tables, wanted), true, [this, id, then](const db::unit_outcome& outcome) {
    auto found = db::decode_one(outcome);
    if (!found)
      return then(std::move(found.failure()));
    found->document ? then(to_variable({*found->document, {}})) : then(variables_.missing());
  });
}

// --- putting ---------------------------------------------------------------------------------------------------------

/// A value that is there keeps its document; one that is not is inserted, once whoever else does the same.
void framework_stores::put(const put_context_value& wanted, callback<context_value_record> then) {
  const auto modified = to_rfc3339(options_.now());
  update_document change;
  change.tenant = wanted.tenant;
  change.collection = options_.collections.values;
  change.where = of_key(wanted.variable, wanted.key);
  change.set = document_writer().json("data", wanted.data).text("last_modified", modified).finish();
  change_value(change, wanted.variable, [this, wanted, modified, then](result<document_updated> how) {
    if (!how)
      return then(std::move(how.failure()));
    if (how->matched == 0)
      return insert_value(wanted, modified, then);
    then(context_value_record{wanted.key, wanted.data, modified, false});
  });
}

void framework_stores::insert_value(const put_context_value& wanted, const std::string& modified,
                                    callback<context_value_record> then) {
  update_document upsert;
  upsert.tenant = wanted.tenant;
  upsert.collection = options_.collections.values;
  upsert.where = of_key(wanted.variable, wanted.key);
  upsert.is_upsert = true;
  upsert.set = document_writer()
                   .text("id", uuid_to_string(new_uuid_v7()))
                   .text("version", variables_version)
                   .text("creation_utc", modified)
                   .text("last_modified", modified)
                   .text("variable_id", wanted.variable)
                   .text("key", wanted.key)
                   .json("data", wanted.data)
                   .finish();
  change_value(upsert, wanted.variable, [wanted, modified, then](result<document_updated> how) {
    how ? then(context_value_record{wanted.key, wanted.data, modified, false}) : then(std::move(how.failure()));
  });
}

void framework_stores::change_value(const update_document& change, const std::string& variable,
                                    callback<document_updated> then) {
  const auto bytes_max = options_.document_bytes_max;
  db::joint_unit work;
  work.add(db::require_unit(*options_.tables, change.tenant, options_.collections.variables, variable));
  work.add(change.is_upsert ? db::upsert_unit(*options_.tables, change, bytes_max)
                            : db::update_unit(*options_.tables, change, bytes_max));
  const auto ends = work.ends();
  run(change.tenant, std::move(work).take(), true, [this, change, bytes_max, ends, then](const auto& outcome) {
    if (db::was_missing(outcome))
      return then(variables_.missing());
    auto how = db::decode_updated(change, db::outcome_of(ends, 1, outcome), bytes_max);
    if (!how)
      return then(std::move(how.failure()));
    if (how->bytes != 0)
      options_.meter->add(change.tenant, {0, how->bytes});
    then(std::move(how->reply));
  });
}

// --- reading ---------------------------------------------------------------------------------------------------------

void framework_stores::get(const get_context_value& wanted, callback<context_value_record> then) {
  with_variable(wanted.tenant, wanted.variable, [this, wanted, then](result<context_variable_record> variable) {
    if (!variable)
      return then(std::move(variable.failure()));
    find_document value;
    value.tenant = wanted.tenant;
    value.collection = options_.collections.values;
    value.where = of_key(wanted.variable, wanted.key);
    run(wanted.tenant, db::find_one_unit(*options_.tables, value), true,
        [this, wanted, then, rules = variable->freshness_rules](const db::unit_outcome& outcome) {
          auto found = db::decode_one(outcome);
          if (!found)
            return then(std::move(found.failure()));
          found->document ? then(to_value(*found->document, rules, options_.now())) : then(no_value);
        });
  });
}

void framework_stores::remove(const delete_context_value& wanted, callback<context_value_deleted> then) {
  const auto filter = of_key(wanted.variable, wanted.key);
  run(wanted.tenant, db::delete_all_unit(*options_.tables, wanted.tenant, options_.collections.values, filter), false,
      [this, wanted, then](const db::unit_outcome& outcome) {
        auto gone = db::decode_gone(outcome);
        if (!gone)
          return then(std::move(gone.failure()));
        if (gone->bytes != 0)
          options_.meter->add(wanted.tenant, {0, gone->bytes});
        gone->count > 0 ? then(context_value_deleted{}) : then(no_value);
      });
}

void framework_stores::list(const list_context_values& wanted, callback<context_value_page> then) {
  with_variable(wanted.tenant, wanted.variable, [this, wanted, then](result<context_variable_record> variable) {
    if (!variable)
      return then(std::move(variable.failure()));
    find_documents values;
    values.tenant = wanted.tenant;
    values.collection = options_.collections.values;
    values.where = is_text("variable_id", wanted.variable);
    values.limit = wanted.limit;
    if (!wanted.cursor.empty())
      values.cursor = wanted.cursor;
    auto query = db::find_unit(*options_.tables, values);
    if (!query)
      return then(std::move(query.failure()));
    run(wanted.tenant, std::move(query).value(), true,
        [this, values, then, rules = variable->freshness_rules](const db::unit_outcome& outcome) {
          auto page = db::decode_page(values, outcome);
          if (!page)
            return then(std::move(page.failure()));
          context_value_page made;
          for (const auto& each : page->documents)
            made.values.push_back(to_value(each, rules, options_.now()));
          made.next_cursor = page->next_cursor;
          then(std::move(made));
        });
  });
}

// --- looking up ------------------------------------------------------------------------------------------------------

/// A customer that is not there has no tags.
void framework_stores::look_up(const look_up_context_value& wanted, callback<looked_up_value> then) {
  with_variable(wanted.tenant, wanted.variable, [this, wanted, then](result<context_variable_record> variable) {
    if (!variable)
      return then(std::move(variable.failure()));
    if (!wanted.customer_id)
      return look_up(wanted, *variable, {}, then);
    customers_.get(wanted.tenant, *wanted.customer_id,
                   [this, wanted, then, known = *variable](result<tagged_thing> customer) {
                     if (!customer && customer.failure().code != error_code::not_found)
                       return then(std::move(customer.failure()));
                     look_up(wanted, known, customer ? customer->tags : std::vector<std::string>(), then);
                   });
  });
}

void framework_stores::look_up(const look_up_context_value& wanted, const context_variable_record& variable,
                               const std::vector<std::string>& tags, callback<looked_up_value> then) {
  const auto search = std::make_shared<value_search>();
  search->keys = keys_of(wanted, tags);
  search->best_key = search->keys.size();
  search->rules = variable.freshness_rules;
  search->page.tenant = wanted.tenant;
  search->page.collection = options_.collections.values;
  search->page.where = all_of({is_text("variable_id", wanted.variable), is_one_of("key", search->keys)});
  search->page.limit = limits::page_events_max;
  look_further(search, std::move(then));
}

/// Page by page: all of them may have more bytes than one page. Of a document that is none of the answer only the key
/// is read.
void framework_stores::look_further(const std::shared_ptr<value_search>& search, callback<looked_up_value> then) {
  auto query = db::find_unit(*options_.tables, search->page);
  if (!query)
    return then(std::move(query.failure()));
  run(search->page.tenant, std::move(query).value(), true, [this, search, then](const db::unit_outcome& outcome) {
    auto page = db::decode_page(search->page, outcome);
    if (!page)
      return then(std::move(page.failure()));
    const auto& keys = search->keys;
    for (auto& each : page->documents) {
      const auto key = find_text(each, "key").value_or("");
      const auto at = static_cast<std::size_t>(std::find(keys.begin(), keys.end(), key) - keys.begin());
      if (at < search->best_key) {
        search->best_key = at;
        search->best = std::move(each);
      }
    }
    if (search->best_key > 0 && !page->next_cursor.empty()) {
      search->page.cursor = page->next_cursor;
      return look_further(search, then);
    }
    looked_up_value found;
    if (search->best_key < keys.size())
      found.value = to_value(search->best, search->rules, options_.now());
    then(std::move(found));
  });
}

} // namespace colloquy::actors
