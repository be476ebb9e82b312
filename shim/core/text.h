/* Text without stdio or malloc: for names of FIFOs, the statistics line, debug lines. */
#ifndef EFDSHIM_CORE_TEXT_H
#define EFDSHIM_CORE_TEXT_H

#include <stddef.h>
#include <stdint.h>

struct text {
	char *start;
	size_t used; /* without the closing 0, which is always there */
	size_t size;
};

struct text text_in(char *space, size_t size);

/* Each cuts off what does not fit. The base is 8, 10 or 16. */
void text_string(struct text *text, const char *string);
void text_number(struct text *text, uint64_t number, unsigned base);

/* Keeps the first `length` bytes, where there are more. */
void text_cut(struct text *text, size_t length);

/* Reads a decimal number at *at and moves *at behind it; -1 where there is none or it is no int. */
int text_parse_int(const char **at);

#endif
