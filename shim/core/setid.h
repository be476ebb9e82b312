/* Numbers of epoll sets: by them watches of one set are told from those of another, in every
 * process that has the set by fork. */
#ifndef EFDSHIM_CORE_SETID_H
#define EFDSHIM_CORE_SETID_H

#include <stdbool.h>
#include <stdint.h>

#include "core/fdtable.h"

/* Numbers that were given out have so many bits; above is what marks a set that came from
 * elsewhere. */
enum { SETID_NUMBER_BITS = 37 };
#define SETID_STRANGER (1ull << SETID_NUMBER_BITS)

/* The numbers up to here are shared with other processes. Written by setid_forking, inherited by
 * children. */
extern _Atomic uint64_t setid_shared_up_to;

/* Of the sets up to this number some were passed on otherwise. Written by setid_passing, inherited
 * by children. */
extern _Atomic uint64_t setid_passed_up_to;

/* A new epoll set gets its number. */
void setid_made(int epfd);

/* The number of a set; one that was not made under the shim's eyes gets it now. */
uint64_t setid_of(int epfd);

/* The set as the records of watches name it, which are every process's: no other process's set has
 * the same, but for those forked from it. */
uint64_t setid_key(int epfd);

/* True where the key, of a watch that this process added, is that of a set it has lost: made by it,
 * never shared, and closed. */
bool setid_closed(uint64_t key);

/* A set is about to be passed on, in a message or to another image: none that there is now counts
 * as closed any more. */
void setid_passing(void);

/* A cookie was put in a set; whether one was, here or by a relative that may share the set though
 * it was forked before there was any. */
void setid_note_cookie(void);
bool setid_any_cookie(void);

/* True for a set that came from elsewhere, and has another number there. */
bool setid_strange(int epfd);

/* True where other processes may have the set too. */
bool setid_shared(int epfd);

/* The number of a set that this process made, and never gave to anybody; 0 for any other fd. */
static inline uint64_t setid_private(int epfd)
{
	uint64_t entry = fdtable_entry(epfd), number = entry >> ENTRY_GENERATION_SHIFT;
	bool private = (entry & ENTRY_SLOT_FIELD) == ENTRY_SET &&
		       number > atomic_load_explicit(&setid_shared_up_to, memory_order_acquire) &&
		       number > atomic_load_explicit(&setid_passed_up_to, memory_order_acquire) &&
		       !(number & SETID_STRANGER) && !fdtable_doubtful();

	return private ? number : 0;
}

/* Other processes get the set; its key stays. */
void setid_share(int epfd);

/* Around a fork, in the parent: the sets and objects there are have two owners from now on. */
void setid_forking(void);

/* How often this process, and those it was forked from, have forked. */
uint32_t setid_forks(void);

#endif
