# SPDX-License-Identifier: MIT
# Real kernels in guests; a kernel that the mirror does not give is a skip (77), 6.1 must be there.
option(KCOREDUMP_ALL_KERNELS "Run each scenario on each kernel" OFF)
option(KCOREDUMP_PEERS "Also open a live capture with crash, drgn, makedumpfile and gdb" OFF)

# Guests take the static program, which sanitizers do not give.
if(NOT KCOREDUMP_STATIC)
  return()
endif()

include(vm/ladder/ladder.cmake)

enable_language(C)
add_executable(guest_pattern vm/guest_pattern.c)
target_link_options(guest_pattern PRIVATE -static)
add_executable(guest_tasks vm/guest_opener.c vm/guest_tasks.c)
target_link_options(guest_tasks PRIVATE -static)
target_link_libraries(guest_tasks PRIVATE Threads::Threads)

function(add_vm_test scenario)
  foreach(kernel ${ARGN})
    add_test(NAME vm.${scenario}.${kernel}
             COMMAND ${CMAKE_CURRENT_SOURCE_DIR}/vm/run_test ${scenario} ${kernel}
                     --kcoredump $<TARGET_FILE:kcoredump> --pattern $<TARGET_FILE:guest_pattern>
                     --tasks $<TARGET_FILE:guest_tasks> --ladder $<TARGET_FILE:ladder_tests>)
    set_tests_properties(vm.${scenario}.${kernel} PROPERTIES SKIP_RETURN_CODE 77 TIMEOUT 420
                                                             LABELS vm)
  endforeach()
endfunction()

# Debian 12's own kernel runs every scenario; of the others each runs some, and with KCOREDUMP_ALL_KERNELS all.
function(add_kernel_test scenario kernels more_kernels)
  add_vm_test(${scenario} ${kernels})
  if(KCOREDUMP_ALL_KERNELS)
    add_vm_test(${scenario} ${more_kernels})
  endif()
endfunction()

add_kernel_test(live-la57 "6.1" "6.12;sid")  # 5.10 has no 5-level page tables
add_kernel_test(live-4level "5.10" "6.1;6.12;sid")
add_kernel_test(ladder "6.1" "5.10;6.12;sid")
add_kernel_test(offline "6.1;5.10" "6.12;sid")
add_kernel_test(inspect "6.1" "5.10;6.12;sid")
add_kernel_test(filters "6.1;6.12" "5.10;sid")
add_kernel_test(panic "6.1;sid" "")
foreach(scenario pipe names sigint sigterm enospc erofs unprivileged lockdown kptr hotplug stale folder)
  add_vm_test(${scenario} 6.1)
endforeach()
add_vm_test(hwpoison 6.1-generic)
add_vm_test(formats 6.1)  # Debian 12's makedumpfile knows kernels up to about 6.1
add_vm_test(foreign 6.1)
if(KCOREDUMP_PEERS)
  add_vm_test(peers 6.1)
  set_tests_properties(vm.peers.6.1 PROPERTIES TIMEOUT 1800)
endif()
