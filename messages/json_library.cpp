// The JSON library's own code, compiled into this program: the distribution's package is used by its headers alone.
#include <boost/json/src.hpp>
