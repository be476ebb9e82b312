/* Whether the running kernel has what efdshim is asked for, found by asking it. */
#ifndef EFDSHIM_CLI_FEATURES_H
#define EFDSHIM_CLI_FEATURES_H

#include <stdbool.h>

enum family {
	FAMILY_CALL,   /* the kernel's where it has it, else an older call */
	FAMILY_OBJECT, /* an eventfd: in user space unless EFDSHIM_MODE=missing */
	FAMILY_TIMER,  /* the kernel's where it has it, else an fd of the library's own */
	FAMILY_SIGNAL, /* the same */
	FAMILY_OURS,   /* no kernel has it */
};

struct feature {
	const char *name;
	const char *since; /* the first Linux that has it; NULL: none */
	enum family family;
	bool (*native)(void);
	const char *older; /* how it is done without */
};

extern const struct feature features[];
extern const unsigned feature_count;

/* How the kernel's own call without flags does it all the same; NULL where it has none, or that
 * does not help. */
const char *feature_by_flagless(const struct feature *feature);

#endif
