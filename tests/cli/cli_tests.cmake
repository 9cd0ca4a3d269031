# SPDX-License-Identifier: MIT
# The tests of the command line, of the completions, and of the house itself. Included from
# tests/CMakeLists.txt. They need Python and, where they have them, zstd, hexdump, bash, zsh, fish.

find_package(Python3 3.9 REQUIRED COMPONENTS Interpreter)

# add_cli_test(NAME SCRIPT TIMEOUT ARGUMENTS…)
function(add_cli_test name script timeout_s)
  add_test(NAME cli.${name}
           COMMAND ${Python3_EXECUTABLE} -B ${CMAKE_CURRENT_FUNCTION_LIST_DIR}/${script} ${ARGN})
  set_tests_properties(cli.${name} PROPERTIES TIMEOUT ${timeout_s} SKIP_RETURN_CODE 77
                                              LABELS cli)
endfunction()

add_cli_test(includes check_includes.py 60 ${CMAKE_SOURCE_DIR})
add_cli_test(completions check_completions.py 120 $<TARGET_FILE:kcoredump>
             ${CMAKE_SOURCE_DIR}/completions)
foreach(name capture convert dis exit_statuses export formats inspect map mount print read report
        responder schema search serve)
  add_cli_test(${name} test_${name}.py 180 $<TARGET_FILE:kcoredump>)
endforeach()
if(KCOREDUMP_PEERS)
  add_cli_test(browser test_browser.py 300 $<TARGET_FILE:kcoredump>)
endif()
if(NOT KCOREDUMP_SANITIZE)  # a sanitizer's shadow is no measure of the program
  add_cli_test(memory test_memory.py 300 $<TARGET_FILE:kcoredump>)
  set_tests_properties(cli.memory PROPERTIES RUN_SERIAL ON)
  add_cli_test(hostile test_hostile.py 300 $<TARGET_FILE:kcoredump>)
  add_cli_test(install test_install.py 180 $<TARGET_FILE:kcoredump>)
endif()
