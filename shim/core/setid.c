#include "core/setid.h"

#include <stdatomic.h>
#include <stddef.h>
#include <string.h>
#include <sys/auxv.h>
#include <sys/mman.h>
#include <time.h>

#include "core/fdtable.h"
#include "sys/raw.h"

/* COOKIES: the word of the shared page that says whether there are any. */
enum { COOKIES = 1, PAGE = 4096, NUMBER_BITS = SETID_NUMBER_BITS };

/* Marks the number of a set that came from elsewhere. */
#define STRANGER SETID_STRANGER

#define SPREAD 0x9e3779b97f4a7c15ull

/* What this process and those it forks put before the number in a key: random, and chosen with the
 * first set, so that those who made none before they parted have different ones. */
static _Atomic uint64_t family;

/* Sets made so far by this process and its forked relatives, in a page they share; NULL before the
 * first one, and where there is no memory. */
static _Atomic(_Atomic uint64_t *) made;

/* The numbers up to here are shared with other processes. Written by setid_forking, inherited by
 * children. */
_Atomic uint64_t setid_shared_up_to;

/* Of the sets up to this number some were passed on otherwise. Written by setid_passing, inherited
 * by children. */
_Atomic uint64_t setid_passed_up_to;

static _Atomic uint32_t forks;

static uint64_t any_family(void)
{
	uint64_t seed = 0;
	struct timespec now;

	if (getauxval(AT_RANDOM))
		memcpy(&seed, (const void *)getauxval(AT_RANDOM), sizeof(seed));
	clock_gettime(CLOCK_MONOTONIC, &now);
	seed ^= (uint64_t)raw_getpid() << 40 ^ (uint64_t)now.tv_nsec * SPREAD;
	return seed & ~(STRANGER - 1);
}

/* The count, which is made now if there is none. */
static _Atomic uint64_t *count_of_sets(void)
{
	_Atomic uint64_t *count = atomic_load(&made);
	uint64_t nobodys = 0;
	long map;

	if (count)
		return count;
	map = raw_syscall6(
		SYS_mmap, 0, PAGE, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (map < 0 && map >= -PAGE)
		return NULL;
	atomic_compare_exchange_strong(&family, &nobodys, any_family());
	if (atomic_compare_exchange_strong(&made, &count, (_Atomic uint64_t *)map))
		return (_Atomic uint64_t *)map;
	raw_syscall3(SYS_munmap, map, PAGE, 0);
	return count;
}

static uint64_t next_number(void)
{
	_Atomic uint64_t *count = count_of_sets();

	return count ? (atomic_fetch_add(count, 1) + 1) & (STRANGER - 1) : STRANGER;
}

static uint64_t made_so_far(void)
{
	_Atomic uint64_t *count = atomic_load(&made);

	return count ? atomic_load(count) : 0;
}

void setid_made(int epfd)
{
	fdtable_set_epoll(epfd, next_number());
}

uint64_t setid_of(int epfd)
{
	if (fdtable_foreign(epfd))
		fdtable_change_epoll(epfd, 0, next_number() | STRANGER);
	return fdtable_epoll_id(epfd);
}

uint64_t setid_key(int epfd)
{
	uint64_t number = setid_of(epfd) & (STRANGER - 1);

	return atomic_load(&family) | number;
}

bool setid_closed(uint64_t key)
{
	uint64_t number = key & (STRANGER - 1);

	if ((key ^ number) != atomic_load(&family) || number <= atomic_load(&setid_shared_up_to) ||
		number <= atomic_load(&setid_passed_up_to))
		return false;
	for (uint32_t fd = 0; fd < fdtable_top(); fd++) {
		if (number == (fdtable_epoll_id((int)fd) & (STRANGER - 1)))
			return false;
	}
	return true;
}

void setid_note_cookie(void)
{
	_Atomic uint64_t *count = count_of_sets();

	if (count && !atomic_load(&count[COOKIES]))
		atomic_store(&count[COOKIES], 1);
}

bool setid_any_cookie(void)
{
	_Atomic uint64_t *count = atomic_load(&made);

	return count && atomic_load(&count[COOKIES]);
}

bool setid_strange(int epfd)
{
	return setid_of(epfd) & STRANGER;
}

bool setid_shared(int epfd)
{
	uint64_t number = setid_of(epfd);

	return !number || (number & STRANGER) || number <= atomic_load(&setid_shared_up_to);
}

void setid_passing(void)
{
	atomic_store(&setid_passed_up_to, made_so_far());
}

void setid_share(int epfd)
{
	uint64_t number = fdtable_epoll_id(epfd);

	setid_passing();
	for (uint32_t fd = 0; number && fd < fdtable_top(); fd++) {
		uint64_t entry = fdtable_entry((int)fd);

		if (fdtable_epoll_id((int)fd) == number)
			fdtable_change_epoll((int)fd, entry, number | STRANGER);
	}
}

void setid_forking(void)
{
	atomic_fetch_add(&forks, 1);
	atomic_store(&setid_shared_up_to, made_so_far());
}

uint32_t setid_forks(void)
{
	return atomic_load(&forks);
}
