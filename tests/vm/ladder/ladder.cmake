# SPDX-License-Identifier: MIT
# The ladder against a real kernel: a static program that tests/vm runs in guests.
find_library(FUSE3_STATIC libfuse3.a REQUIRED)
find_path(FUSE3_INCLUDE fuse3/fuse.h REQUIRED)

add_executable(ladder_tests vm/ladder/ladder_test.cc vm/ladder/fuse_test.cc vm/ladder/fuse_kcore.cc)
target_include_directories(ladder_tests PRIVATE ${CMAKE_SOURCE_DIR}/lib vm/ladder
                                                  ${FUSE3_INCLUDE}/fuse3)
target_link_libraries(ladder_tests PRIVATE kcoredump_static ${FUSE3_STATIC} GTest::gtest
                                             GTest::gtest_main)
target_link_options(ladder_tests PRIVATE -static)
