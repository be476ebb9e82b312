/* A library that looks the shim's symbols up as the shim does, when it is loaded, and says where
 * dlsym disagrees. LOOKING=sure: it must not have left any to dlsym; LOOKING=unsure: all. */
#include <dlfcn.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "sys/lookup.h"
#include "sys/symbols.h"

enum { MOST = 512 };

static struct lookup names[MOST];

static size_t take_listed(void)
{
	size_t n = 0;

#define TAKE(type, function, parameters) names[n++].name = #function;
#define TAKE_TOO(alias, function) names[n++].name = #alias;
	SYMBOLS(TAKE, TAKE_TOO)
	return n;
}

static bool is_right(const struct lookup *name, const char *demanded)
{
	void *expected = dlsym(RTLD_NEXT, name->name);

	switch (name->result) {
	case LOOKUP_UNSURE:
		return strcmp(demanded, "sure") != 0;
	case LOOKUP_FOUND:
		return name->address == expected && strcmp(demanded, "unsure") != 0;
	default:
		return !expected && strcmp(demanded, "unsure") != 0;
	}
}

__attribute__((constructor)) static void look(void)
{
	const char *demanded = getenv("LOOKING") ? getenv("LOOKING") : "";
	size_t n = take_listed(), wrong = 0;

	lookup_all(names, n, LOOKUP_NEXT);
	for (size_t i = 0; i < n; i++) {
		if (is_right(&names[i], demanded))
			continue;
		fprintf(stderr, "%s: %d at %p, dlsym says %p\n", names[i].name, names[i].result,
			names[i].address, dlsym(RTLD_NEXT, names[i].name));
		wrong++;
	}
	if (wrong)
		_exit(1);
}
