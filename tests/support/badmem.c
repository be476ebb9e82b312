#define _GNU_SOURCE
#include "badmem.h"
#include "testkit.h"

#include <fcntl.h>
#include <criterion/criterion.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* Far from where mmap looks on its own. */
#define FAR_AWAY ((void *)0x200000000000)

enum {
	GOOD_1,
	NONE,
	GOOD_2,
	UNMAPPED,
	GOOD_3,
	READONLY,
	EXEC_ONLY,
	FILE_DATA,
	FILE_PAST_END,
	PAGES
};

struct badmem badmem[BADMEM_MAX];
size_t badmem_count;

static char *base;
static size_t page_size;
static const uint64_t constant = 1;

static char *page(int index)
{
	return base + (size_t)index * page_size;
}

static void map_file(void)
{
	int fd = tk_memory_file(O_CLOEXEC);
	cr_assert(fd >= 0);
	cr_assert_eq(ftruncate(fd, (off_t)page_size), 0);
	void *p = mmap(page(FILE_DATA), 2 * page_size, PROT_READ | PROT_WRITE,
		MAP_SHARED | MAP_FIXED, fd, 0);
	cr_assert_eq(p, (void *)page(FILE_DATA));
	close(fd);
}

static void map_pages(void)
{
	page_size = (size_t)sysconf(_SC_PAGESIZE);
	base = mmap(FAR_AWAY, PAGES * page_size, PROT_READ | PROT_WRITE,
		MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
	cr_assert_eq((void *)base, FAR_AWAY);
	*(uint64_t *)page(READONLY) = BADMEM_READONLY_VALUE;
	cr_assert_eq(mprotect(page(NONE), page_size, PROT_NONE), 0);
	cr_assert_eq(mprotect(page(READONLY), page_size, PROT_READ), 0);
	cr_assert_eq(mprotect(page(EXEC_ONLY), page_size, PROT_EXEC), 0);
	cr_assert_eq(munmap(page(UNMAPPED), page_size), 0);
	map_file();
}

static struct badmem *add_bad(const char *what, void *addr, bool readable)
{
	cr_assert(badmem_count < BADMEM_MAX);
	badmem[badmem_count] = (struct badmem){what, addr, readable, NULL, 0};
	return &badmem[badmem_count++];
}

static void add_page(const char *what, const char *straddling, int index, bool readable)
{
	add_bad(what, page(index), readable);
	add_bad(what, page(index) + 4000, readable);
	struct badmem *b = add_bad(straddling, page(index) - 3, readable);
	if (index != EXEC_ONLY) {
		b->before = page(index) - 64;
		b->before_len = 64;
	}
}

void badmem_map(void)
{
	map_pages();
	badmem_count = 0;
	add_page("PROT_NONE", "into PROT_NONE", NONE, false);
	add_page("unmapped", "into unmapped", UNMAPPED, false);
	add_page("PROT_READ", "into PROT_READ", READONLY, true);
	add_page("past the end", "past the end of a file", FILE_PAST_END, false);
	add_bad("PROT_EXEC", page(EXEC_ONLY), true);
	add_bad("constant", (void *)&constant, true);
	add_bad("code", (void *)badmem_map, true);
	add_bad("NULL", NULL, false);
	add_bad("page 0", (void *)8, false);
	add_bad("the last byte", (void *)-1, false);
	add_bad("the last eight bytes", (void *)-8, false);
	add_bad("the kernel's half", (void *)0xffff800000000000, false);
	add_bad("no address", (void *)0x8000000000000000, false);
	add_bad("the end of user space", (void *)0x7ffffffff000, false);
}

void badmem_unmap(void)
{
	munmap(base, PAGES * page_size);
}

void *badmem_unmapped(void)
{
	return page(UNMAPPED);
}

void *badmem_none(void)
{
	return page(NONE);
}

void *badmem_readonly(void)
{
	return page(READONLY);
}

void *badmem_null(void)
{
	void *volatile null = NULL;
	return null;
}
