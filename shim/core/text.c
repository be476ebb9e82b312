#include "core/text.h"

#include <limits.h>

struct text text_in(char *space, size_t size)
{
	space[0] = 0;
	return (struct text){.start = space, .used = 0, .size = size};
}

void text_string(struct text *text, const char *string)
{
	while (*string && text->used + 1 < text->size)
		text->start[text->used++] = *string++;
	text->start[text->used] = 0;
}

void text_number(struct text *text, uint64_t number, unsigned base)
{
	char digits[24];
	char *at = digits + sizeof(digits) - 1;

	*at = 0;
	do {
		*--at = "0123456789abcdef"[base == 10 ? number % 10 : number & (base - 1)];
		number = base == 10 ? number / 10 : number >> (base == 16 ? 4 : 3);
	} while (number);
	text_string(text, at);
}

void text_cut(struct text *text, size_t length)
{
	if (text->used > length)
		text->used = length;
	text->start[text->used] = 0;
}

int text_parse_int(const char **at)
{
	const char *p = *at;
	int64_t number = 0;

	if (*p < '0' || *p > '9')
		return -1;
	for (; *p >= '0' && *p <= '9'; p++) {
		number = number * 10 + (*p - '0');
		if (number > INT_MAX)
			return -1;
	}
	*at = p;
	return (int)number;
}
