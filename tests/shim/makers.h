/* Ways to make an fd that is no eventfd, of libc and by syscall(); those that are seldom used
 * foremost. */
#ifndef MAKERS_H
#define MAKERS_H

struct maker {
	const char *name;
	int (*make)(int lowest); /* `lowest` is a free number; negative where the system has no such
				    thing */
};

extern const struct maker makers[];
extern const int makers_count;

#endif
