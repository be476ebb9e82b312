/* Ways to spoil a file of the store. */
#ifndef SPOIL_H
#define SPOIL_H

#include <stdint.h>

struct spoiler {
	char path[512];
	void (*once)(struct spoiler *spoiler, int fd);
	uint32_t chance;
};

/* Ends the process where there is no such mode. */
struct spoiler spoiler_of(const char *mode, const char *directory, const char *file, uint32_t seed);

/* Does one thing to the file, if it is there. */
void spoil(struct spoiler *spoiler);

#endif
