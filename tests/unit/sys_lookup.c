#include <criterion/criterion.h>
#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include <string.h>
#include <sys/auxv.h>

#include "sys/lookup.h"
#include "sys/symbols.h"
#include "testkit.h"

TestSuite(sys_lookup, .init = tk_setup, .fini = tk_teardown, .timeout = 60);

enum { MANY = 4096 };

static struct lookup names[MANY];

static size_t take_listed(void)
{
	size_t n = 0;

#define TAKE(type, function, parameters) names[n++].name = #function;
#define TAKE_TOO(alias, function) names[n++].name = #alias;
	SYMBOLS(TAKE, TAKE_TOO)
	return n;
}

/* The names of libc's own symbols, each once. */
static size_t take_all_of_libc(void)
{
	const ElfW(Sym) *symbols = NULL;
	const uint32_t *hash = NULL;
	const char *strings = NULL;
	struct link_map *libc = NULL;
	uint32_t last = 0;
	Dl_info info;
	size_t n = 0;

	cr_assert(dladdr1((void *)getauxval, &info, (void **)&libc, RTLD_DL_LINKMAP));
	for (const ElfW(Dyn) *entry = libc->l_ld; entry->d_tag != DT_NULL; entry++) {
		if (entry->d_tag == DT_SYMTAB)
			symbols = (const void *)entry->d_un.d_ptr;
		if (entry->d_tag == DT_STRTAB)
			strings = (const void *)entry->d_un.d_ptr;
		if (entry->d_tag == DT_GNU_HASH)
			hash = (const void *)entry->d_un.d_ptr;
	}
	cr_assert(symbols && strings && hash);
	const uint32_t *bucket = hash + 4 + hash[2] * sizeof(ElfW(Addr)) / sizeof(*hash);
	const uint32_t *chain = bucket + hash[0];

	for (uint32_t i = 0; i < hash[0]; i++)
		last = bucket[i] > last ? bucket[i] : last;
	while (!(chain[last - hash[1]] & 1))
		last++;
	for (uint32_t i = hash[1]; i <= last && n < MANY; i++) {
		const char *name = strings + symbols[i].st_name;
		bool known = false;

		for (size_t j = n; j && j + 8 > n && !known; j--)
			known = !strcmp(names[j - 1].name, name);
		if (!known)
			names[n++].name = name;
	}
	return n;
}

/* How many were found; all of them what dlsym finds. */
static size_t check(size_t n, void *handle, enum lookup_scope scope)
{
	size_t found = 0;

	lookup_all(names, n, scope);
	for (size_t i = 0; i < n; i++) {
		void *expected = dlsym(handle, names[i].name);

		if (names[i].result == LOOKUP_FOUND)
			cr_expect_eq(names[i].address, expected, "%s", names[i].name);
		if (names[i].result == LOOKUP_ABSENT)
			cr_expect_null(expected, "%s", names[i].name);
		found += names[i].result == LOOKUP_FOUND;
	}
	return found;
}

static size_t count_dlsym(size_t n, void *handle)
{
	size_t found = 0;

	for (size_t i = 0; i < n; i++)
		found += dlsym(handle, names[i].name) != NULL;
	return found;
}

Test(sys_lookup, every_listed_symbol_is_the_one_that_dlsym_finds_next)
{
	size_t n = take_listed();
	size_t found = check(n, RTLD_NEXT, LOOKUP_NEXT);

	cr_expect_gt(found, 100);
	cr_expect_eq(found, count_dlsym(n, RTLD_NEXT));
}

Test(sys_lookup, and_from_the_first_object_on)
{
	size_t n = take_listed();

	cr_expect_gt(check(n, RTLD_DEFAULT, LOOKUP_DEFAULT), 100);
}

Test(sys_lookup, all_names_of_libc_with_their_default_versions)
{
	size_t n = take_all_of_libc();

	cr_assert(n > 1000 && n < MANY);
	cr_expect_gt(check(n, RTLD_NEXT, LOOKUP_NEXT), n / 2);
	cr_expect_gt(check(n, RTLD_DEFAULT, LOOKUP_DEFAULT), n / 2);
}

Test(sys_lookup, what_there_is_not_is_absent)
{
	static const char *const none[] = {
		"", "r", "efdshim_no_such_function", "io_uring_queue_init", "_init", "__vdso_time"};
	size_t n = sizeof(none) / sizeof(none[0]);

	for (size_t i = 0; i < n; i++)
		names[i].name = none[i];
	cr_expect_eq(check(n, RTLD_NEXT, LOOKUP_NEXT), 0);
	cr_expect_eq(check(n, RTLD_DEFAULT, LOOKUP_DEFAULT), 0);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(names[i].result, LOOKUP_ABSENT, "%s", none[i]);
}

Test(sys_lookup, indirect_functions_are_left_to_dlsym)
{
	names[0].name = "memcpy";
	names[1].name = "strlen";
	lookup_all(names, 2, LOOKUP_NEXT);
	for (int i = 0; i < 2; i++)
		cr_expect(names[i].result == LOOKUP_UNSURE ||
			  names[i].address == dlsym(RTLD_NEXT, names[i].name));
}

static void expect_all_unsure(void)
{
	size_t n = take_listed();

	lookup_all(names, n, LOOKUP_NEXT);
	for (size_t i = 0; i < n; i++)
		cr_expect_eq(names[i].result, LOOKUP_UNSURE, "%s", names[i].name);
}

Test(sys_lookup, auditors_have_a_say)
{
	setenv("LD_AUDIT", "libnone.so", 1);
	expect_all_unsure();
}

Test(sys_lookup, weak_symbols_may_count_for_less)
{
	setenv("LD_DYNAMIC_WEAK", "1", 1);
	expect_all_unsure();
}
