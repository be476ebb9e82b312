/* Who answers to each exported name: asked of the dynamic linker by the program's own references,
 * and by dlsym. exported.h is a list of NAME(symbol), made by symbols.sh. */
#include "prog.h"

#include <dlfcn.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Weak: this libc may lack some of them, and then they are NULL. */
#define NAME(name) extern char at_##name[] __asm__(#name) __attribute__((weak));
#include "exported.h"
#undef NAME

#define NAME(name) {#name, at_##name},
static const struct {
	const char *name;
	const void *linked;
} symbols[] = {
#include "exported.h"
};

static void require_in(const char *library, const void *address, const char *name, const char *how)
{
	char line[PATH_MAX + 256];
	Dl_info info = {0};
	char *file = NULL;

	if (address && dladdr(address, &info))
		file = realpath(info.dli_fname, NULL);
	snprintf(line, sizeof(line), "%s by %s is in %s", name, how, file ? file : "nothing");
	require(file && !strcmp(file, library), line);
	free(file);
}

int main(int argc, char **argv)
{
	require(argc == 2, "usage: resolve LIBRARY");
	for (size_t i = 0; i < sizeof(symbols) / sizeof(*symbols); i++) {
		require_in(argv[1], dlsym(RTLD_DEFAULT, symbols[i].name), symbols[i].name, "dlsym");
		if (symbols[i].linked)
			require_in(argv[1], symbols[i].linked, symbols[i].name, "reference");
	}
	return 0;
}
