/* Addresses the program hands in: bad ones must give EFAULT as the kernel does, not SIGSEGV.
 * A page is verified by a system call when a thread first meets it and remembered until mappings
 * change. */
#ifndef EFDSHIM_CORE_USERMEM_H
#define EFDSHIM_CORE_USERMEM_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/uio.h>

enum { USERMEM_PAGE_BITS = 12, USERMEM_REMEMBERED = 32 };
enum usermem_access { USERMEM_LOAD = 1, USERMEM_STORE = 2 };

/* The end of a program's addresses with four-level page tables; beyond it the kernel is asked. */
#define USERMEM_PLAIN_END ((1ull << 47) - 4096)

/* Moved by every call that changes mappings, read before a remembered page is trusted. */
extern _Atomic uint32_t usermem_mappings;

/* Page numbers this thread has verified, with what it may do there in the low bits. Single words,
 * so that a handler that comes in between finds each entry whole. */
struct usermem_seen {
	uint32_t mappings; /* what usermem_mappings was when they were verified */
	uintptr_t pages[USERMEM_REMEMBERED];
};
extern _Thread_local struct usermem_seen usermem_seen;

/* The slow halves of the functions below. */
bool usermem_ask_range(const void *address, size_t n);
bool usermem_verify(uintptr_t address, size_t n, enum usermem_access access);

/* Whether all n bytes allow it, whatever was found before: memory that libc has given back itself
 * is remembered. */
bool usermem_ask(const void *address, size_t n, enum usermem_access access);

/* Far from the next page's. */
static inline uintptr_t usermem_second(uintptr_t page)
{
	return (page + USERMEM_REMEMBERED / 2) % USERMEM_REMEMBERED;
}

static inline bool usermem_is(uintptr_t entry, uintptr_t page, enum usermem_access access)
{
	return entry >> USERMEM_PAGE_BITS == page && (entry & access);
}

/* A page has two places: two that are used in turn, as of the stack and of the heap, must not drive
 * each other out. */
static inline bool usermem_known(uintptr_t page, enum usermem_access access)
{
	const uintptr_t *pages = usermem_seen.pages;

	return usermem_seen.mappings == atomic_load(&usermem_mappings) &&
	       (usermem_is(pages[page % USERMEM_REMEMBERED], page, access) ||
		       usermem_is(pages[usermem_second(page)], page, access));
}

/* The kernel's access_ok: whether the range could be the program's at all. */
static inline bool usermem_in_range(const void *address, size_t n)
{
	uintptr_t end;

	if (!__builtin_add_overflow((uintptr_t)address, n, &end) && end <= USERMEM_PLAIN_END)
		return true;
	return usermem_ask_range(address, n);
}

static inline bool usermem_allows(uintptr_t address, size_t n, enum usermem_access access)
{
	uintptr_t page = address >> USERMEM_PAGE_BITS;

	if (n && (address + n - 1) >> USERMEM_PAGE_BITS == page && usermem_known(page, access))
		return true;
	return usermem_verify(address, n, access);
}

/* Whether all n bytes can be loaded / stored. */
static inline bool usermem_loadable(const void *address, size_t n)
{
	return usermem_allows((uintptr_t)address, n, USERMEM_LOAD);
}

static inline bool usermem_storable(void *address, size_t n)
{
	return usermem_allows((uintptr_t)address, n, USERMEM_STORE);
}

/* The slow half of usermem_store: stores up to the bad page, as the kernel does. */
bool usermem_store_part(void *to, const void *from, size_t n);

/* Copies to memory of the program: false where it cannot all be stored. */
static inline bool usermem_store(void *to, const void *from, size_t n)
{
	if (!usermem_storable(to, n))
		return usermem_store_part(to, from, n);
	/* NOLINTNEXTLINE(clang-analyzer-core.NonNullParamChecker): NULL is not storable */
	memcpy(to, from, n);
	return true;
}

/* The program changed its mappings: every thread verifies anew. */
void usermem_forget(void);

#endif
