// The typed interface of the database sessions actor. See actors/database_sessions.hpp for its protocol.
#pragma once

#include "messages/database_session_requests.hpp"
#include "messages/directory_interface.hpp"

#include <caf/allowed_unsafe_message_type.hpp>
#include <caf/typed_actor.hpp>

CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::open_database_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::execute_sql)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::cancel_sql)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::read_database_notifications)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::close_database_session)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::close_database_sessions_of)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::describe_database)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::get_database_session_figures)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_session_record>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::sql_outcome>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::sql_cancelled>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_notifications>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_session_closed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_sessions_closed>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_schema>)
CAF_ALLOW_UNSAFE_MESSAGE_TYPE(colloquy::result<colloquy::database_session_figures>)

namespace colloquy {

/// Every request is answered with a result, as with the directory.
using database_sessions_actor = caf::typed_actor<answers<open_database_session>, answers<execute_sql>,
                                                 answers<cancel_sql>, answers<read_database_notifications>,
                                                 answers<close_database_session>, answers<close_database_sessions_of>,
                                                 answers<describe_database>, answers<get_database_session_figures>>;

} // namespace colloquy
