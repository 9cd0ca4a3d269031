// SPDX-License-Identifier: MIT
//
// The checks, one function each: what they find and what they could not look at goes into the log.
// They read hostile memory: counts are capped, walks end.
#pragma once

#include "inspect/check/check_log.h"
#include "inspect/file/sockets.h"

namespace kcoredump {

/// sys_call_table and its likes: every entry is the beginning of a system call of the kernel's own.
void CheckSyscalls(const CheckSources& sources, CheckLog& log);
/// The x86 idt_table: every gate that is present leads into the kernel's text.
void CheckIdt(const CheckSources& sources, CheckLog& log);
/// Every ftrace_ops that is registered, and traced functions that none of them explains.
void CheckFtrace(const CheckSources& sources, CheckLog& log);
/// Every kprobe.
void CheckKprobes(const CheckSources& sources, CheckLog& log);
/// Where kprobes are, by address, as far as they can be read.
[[nodiscard]] std::vector<uint64_t> KprobeSites(const TaskSources& sources);
/// Callbacks of the notifier chains that are known by name.
void CheckNotifiers(const CheckSources& sources, CheckLog& log);
/// Function pointers of operations, by the names of their tables and from open files, sockets,
/// protocols and /proc.
void CheckOperations(const CheckSources& sources, const SocketList& sockets, CheckLog& log);
/// The list of modules, sysfs's, the tree by address, areas of vmalloc space, ftrace's records.
/// `areas`: nullptr when they are not known.
void CheckModules(const CheckSources& sources, const VmallocAreas* areas, CheckLog& log);
/// The list of processes and threads, the table of pids, children, run queues.
void CheckProcesses(const CheckSources& sources, CheckLog& log);
/// The kernel's tables of sockets, and what processes have open.
void CheckSockets(const CheckSources& sources, const SocketList& sockets, CheckLog& log);

}  // namespace kcoredump
