/* SPDX-License-Identifier: MIT */
#ifndef GUEST_OPENER_H
#define GUEST_OPENER_H

/*
 * Opens files, sockets and mappings of every sort that `files`, `maps` and `sockets` tell apart,
 * and keeps them. Ends the process where the guest's kernel refuses what each of ours allows.
 */
void OpenEverything(void);

#endif
