/* What dlsym(RTLD_NEXT, ...) and dlsym(RTLD_DEFAULT, ...) answer, read from the loader's own lists
 * and the objects' hash tables: no lock, no allocation, no error to clear, and a fraction of the
 * time. */
#ifndef EFDSHIM_SYS_LOOKUP_H
#define EFDSHIM_SYS_LOOKUP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum lookup_result {
	LOOKUP_ABSENT,
	LOOKUP_FOUND,
	LOOKUP_UNSURE, /* dlsym is to be asked */
};

struct lookup {
	const char *name;
	enum lookup_result result;
	uint32_t hash;
	void *address;
};

enum lookup_scope {
	LOOKUP_NEXT,	/* the objects behind this library */
	LOOKUP_DEFAULT, /* all of them */
};

/* Looks n names up. Where the loader's lists do not tell what dlsym would say, all are unsure. */
void lookup_all(struct lookup *names, size_t n, enum lookup_scope scope);

#endif
