# Passes only if the program reports, within as many histories as the tests run, that a property is violated: exit code
# 3, and the words. `cmake -DPROGRAM=... -P` runs it.
execute_process(COMMAND ${PROGRAM} --histories 10000 RESULT_VARIABLE code OUTPUT_VARIABLE said ERROR_VARIABLE said)
message("${said}")
if(NOT code EQUAL 3 OR NOT said MATCHES "violated: ")
  message(FATAL_ERROR "the planted fault was not found: exit code ${code}")
endif()
