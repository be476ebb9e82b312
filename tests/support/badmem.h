/* Memory that read() cannot store to, and mostly write() cannot load from either. */
#ifndef BADMEM_H
#define BADMEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct badmem {
	const char *what;
	void *addr;
	bool readable; /* the bytes at addr can be loaded */
	void *before;  /* the good bytes a straddling access may touch */
	size_t before_len;
};

enum { BADMEM_MAX = 24, BADMEM_READONLY_VALUE = 12 };

extern struct badmem badmem[BADMEM_MAX];
extern size_t badmem_count;

/* The addresses hold until badmem_unmap(): nothing else is ever mapped where nothing is. */
void badmem_map(void);
void badmem_unmap(void);

/* Each is at the start of a page that follows a good one. */
void *badmem_unmapped(void);
void *badmem_none(void);
void *badmem_readonly(void);
void *badmem_null(void);

#endif
