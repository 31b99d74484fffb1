// The typed interface of the documents actor. See actors/documents.hpp for its protocol.
#pragma once

#include "messages/directory_interface.hpp"
#include "messages/document_requests.hpp"
#include "messages/store_requests.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::insert_documents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::find_documents)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::find_document)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::update_document)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_document)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_collections)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::delete_collection)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::open_store)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::list_failed_migrations)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::documents_inserted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::document_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::found_document>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::document_updated>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::document_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::collection_page>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::collection_deleted>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::opened_store>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::failed_migration_page>)

namespace colloquy {

/// Every request is answered with a result, as with the directory.
using documents_actor =
    caf::typed_actor<answers<insert_documents>, answers<find_documents>, answers<find_document>,
                     answers<update_document>, answers<delete_document>, answers<list_collections>,
                     answers<delete_collection>, answers<open_store>, answers<list_failed_migrations>>;

} // namespace colloquy
