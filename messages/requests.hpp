// Everything that may be asked of the directory, and what it is answered with.
#pragma once

#include "messages/log_requests.hpp"
#include "messages/session_requests.hpp"
#include "messages/turn_requests.hpp"
