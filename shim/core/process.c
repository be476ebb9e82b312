#include "core/process.h"

#include <stdatomic.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "core/fdtable.h"
#include "core/store.h"
#include "sys/raw.h"

/* Pids have 22 bits at most. */
enum { PAGE = 4096, PID_BITS = 22, NAMESPACES = 1000 };

/* The owner's pid; written by process_start. */
static _Atomic int owner;

/* A word in a page that a forked child finds zero, and a vfork child does not; NULL where the
 * kernel cannot wipe (before 4.14). */
static _Atomic(_Atomic uint32_t *) unforked;

/* The kernel cannot wipe, or there is no memory: not to be tried again. */
static _Atomic bool unwatched;

static _Atomic uint32_t *make_wiped_page(void)
{
	long map = raw_syscall6(
		SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (map < 0 && map > -PAGE)
		return NULL;
	if (!raw_syscall3(SYS_madvise, map, PAGE, MADV_WIPEONFORK))
		return (_Atomic uint32_t *)map;
	raw_syscall3(SYS_munmap, map, PAGE, 0);
	return NULL;
}

/* A bare fork before that is found by its pid: nothing of what was copied meant anything yet. */
void process_watch_forks(void)
{
	_Atomic uint32_t *none = NULL, *page;

	if (atomic_load(&unforked) || atomic_load(&unwatched))
		return;
	page = make_wiped_page();
	if (!page) {
		atomic_store(&unwatched, true);
		return;
	}
	atomic_store(&owner, raw_getpid());
	atomic_store(page, 1);
	if (!atomic_compare_exchange_strong(&unforked, &none, page))
		raw_syscall3(SYS_munmap, (long)page, PAGE, 0);
}

/* What namespace_bits found; 0 where it has not looked: a child may be in another namespace. */
static _Atomic uint32_t known_namespace;

void process_start(void)
{
	_Atomic uint32_t *page = atomic_load(&unforked);

	atomic_store(&known_namespace, 0);
	if (page)
		atomic_store(page, 1);
	atomic_store(&owner, raw_getpid());
}

int process_pid(void)
{
	if (!atomic_load(&owner))
		process_start();
	return atomic_load(&owner);
}

/* Pids mean something within one pid namespace only: the low bits of its inode number go along. */
static uint32_t namespace_bits(void)
{
	uint32_t bits = atomic_load(&known_namespace);
	struct stat st;

	if (bits)
		return bits;
	if (raw_syscall6(SYS_newfstatat, AT_FDCWD, (long)"/proc/self/ns/pid", (long)&st, 0, 0, 0))
		st.st_ino = 0;
	bits = (uint32_t)(st.st_ino % NAMESPACES + 1) << PID_BITS;
	atomic_store(&known_namespace, bits);
	return bits;
}

uint32_t process_mark(void)
{
	return namespace_bits() | (uint32_t)process_pid();
}

bool process_mark_dead(uint32_t mark)
{
	uint32_t pid = mark & ((1u << PID_BITS) - 1);

	return mark != PROCESS_NOBODY && (mark & ~((1u << PID_BITS) - 1)) == namespace_bits() &&
	       raw_syscall3(SYS_kill, (long)pid, 0, 0) == -ESRCH;
}

/* Set by process_share_numbers, for good. */
static _Atomic bool numbers_shared;

void process_share_numbers(void)
{
	atomic_store(&numbers_shared, true);
	atomic_fetch_add(&fdtable_borrowers, 1);
}

/* Set by process_own_numbers, for the thread's life. */
static _Thread_local bool own_numbers;

void process_own_numbers(void)
{
	if (!own_numbers)
		atomic_fetch_add(&fdtable_borrowers, 1);
	own_numbers = true;
}

bool process_shares_numbers(void)
{
	return atomic_load(&numbers_shared);
}

bool process_borrows_memory(void)
{
	_Atomic uint32_t *page = atomic_load(&unforked);

	if (page && !atomic_load(page)) {
		process_start(); /* forked by a bare system call: no fork handler ran */
		store_forked();
		if (!atomic_load(&numbers_shared))
			fdtable_forked();
	}
	return fdtable_doubtful() &&
	       (own_numbers || atomic_load(&numbers_shared) || process_pid() != raw_getpid());
}
