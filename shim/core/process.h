/* Which process this is: itself, a forked copy, or a vfork child that borrows its parent's memory.
 */
#ifndef EFDSHIM_CORE_PROCESS_H
#define EFDSHIM_CORE_PROCESS_H

#include <stdbool.h>
#include <stdint.h>

/* At load, and in a forked child. */
void process_start(void);

/* From now on children of bare system calls are noticed, too: to be called before there is anything
 * that they must not believe. Any number of times, not in a vfork child. */
void process_watch_forks(void);

/* The pid that owns this memory. */
int process_pid(void);

/* What says in shared memory that something is this process's: never 0. And whether the process
 * that a mark says is dead; false where that cannot be told from here. */
uint32_t process_mark(void);
bool process_mark_dead(uint32_t mark);

/* The mark of what is nobody's in particular. */
#define PROCESS_NOBODY UINT32_MAX

/* True in a child of vfork or the like: its fds are its own, but what it writes to memory is its
 * parent's. */
bool process_borrows_memory(void);

/* This thread has fds of its own from now on, and believes no table. */
void process_own_numbers(void);

/* From now on another process closes and makes this one's numbers too: no table is believed or
 * kept any more, here or in children. */
void process_share_numbers(void);
bool process_shares_numbers(void);

#endif
